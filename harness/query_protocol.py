"""What the door says itself in the query protocol, which IAM and STS speak: forms in, XML out. Pure.

(Smithy specification, 'AWS query protocol'; IAM API reference, 'SimulatePrincipalPolicy'.)
"""

from __future__ import annotations

from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from harness.wire import Request, Response, ServiceError

_FORM = "application/x-www-form-urlencoded"
_IAM = "https://iam.amazonaws.com/doc/2010-05-08/"


def is_query(request: Request) -> bool:
    return (request.header("content-type") or "").startswith(_FORM)


def query_error(error: ServiceError, request_id: str) -> Response:
    who = "Sender" if error.status < 500 else "Receiver"
    told = f"<Type>{who}</Type><Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
    return _xml(
        error.status, f"<ErrorResponse><Error>{told}</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    )


def simulated_policy(request: Request, request_id: str) -> Response | None:
    """The answer to SimulatePrincipalPolicy, None to all else.

    SDK v3 asks it before it trains (iam_role_resolver.py), and moto does not have it. Everything is allowed: the door
    forbids nobody anything.
    """
    if not is_query(request) or b"SimulatePrincipalPolicy" not in request.body:
        return None
    form = parse_qsl(request.body.decode("utf-8", "replace"))
    if ("Action", "SimulatePrincipalPolicy") not in form:
        return None
    actions = [value for name, value in form if name.startswith("ActionNames.member.")]
    resources = [value for name, value in form if name.startswith("ResourceArns.member.")] or ["*"]
    results = "".join(_allowed(action, resource) for action in actions for resource in resources)
    return _xml(
        200,
        f'<SimulatePrincipalPolicyResponse xmlns="{_IAM}"><SimulatePrincipalPolicyResult>'
        f"<IsTruncated>false</IsTruncated><EvaluationResults>{results}</EvaluationResults>"
        f"</SimulatePrincipalPolicyResult><ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
        "</SimulatePrincipalPolicyResponse>",
    )


def _allowed(action: str, resource: str) -> str:
    names = f"<EvalActionName>{escape(action)}</EvalActionName><EvalResourceName>{escape(resource)}</EvalResourceName>"
    return f"<member>{names}<EvalDecision>allowed</EvalDecision></member>"


def _xml(status: int, text: str) -> Response:
    return Response(status, (("Content-Type", "text/xml"),), text.encode())
