"""What an account answers to questions that moto does not play: quotas, prices, and what IAM would allow."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

ROLE_NAME = "sagemaker"
_TRUST = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
_IAM = "https://iam.amazonaws.com/doc/2010-05-08/"


def trust(service: str = "sagemaker.amazonaws.com") -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{**_TRUST, "Principal": {"Service": service}}]})


@dataclass
class Answers:
    """``quotas`` by their name, ``prices`` by usage type, ``denied`` actions; what is None is refused."""

    quotas: dict[str, float] | None = field(default_factory=dict)
    prices: dict[str, float] | None = field(default_factory=dict)
    denied: set[str] | None = field(default_factory=set)

    def to(self, operation: str, body: bytes) -> tuple[str, bytes] | None:
        """(content type, body) of the answer, None for what others answer. Raises `PermissionError`."""
        if operation == "ListServiceQuotas":
            quotas = [
                {"QuotaName": name, "QuotaCode": f"L-{number}", "Value": value}
                for number, (name, value) in enumerate(allowed(self.quotas).items())
            ]
            return "application/x-amz-json-1.1", json.dumps({"Quotas": quotas}).encode()
        if operation == "GetProducts":
            wanted = {each["Field"]: each["Value"] for each in json.loads(body)["Filters"]}
            found = [
                product(usage, price)
                for usage, price in allowed(self.prices).items()
                if usage.endswith(f":{wanted['instanceName']}")
            ]
            return "application/x-amz-json-1.1", json.dumps({"PriceList": found}).encode()
        if operation == "SimulatePrincipalPolicy":
            return "text/xml", simulated(body.decode(), allowed(self.denied)).encode()
        return None


def allowed(answer: Any) -> Any:
    if answer is None:
        raise PermissionError
    return answer


def product(usage: str, price: float) -> str:
    """One of the price list, as the service has it: JSON in a text."""
    term = {"priceDimensions": {"x": {"pricePerUnit": {"USD": f"{price:.10f}"}}}}
    return json.dumps({"product": {"attributes": {"usagetype": usage}}, "terms": {"OnDemand": {"x": term}}})


def simulated(form: str, denied: set[str]) -> str:
    actions = [values[0] for name, values in parse_qs(form).items() if name.startswith("ActionNames.")]
    members = "".join(
        f"<member><EvalActionName>{action}</EvalActionName>"
        f"<EvalDecision>{'implicitDeny' if action in denied else 'allowed'}</EvalDecision></member>"
        for action in actions
    )
    return (
        f'<SimulatePrincipalPolicyResponse xmlns="{_IAM}"><SimulatePrincipalPolicyResult>'
        f"<IsTruncated>false</IsTruncated><EvaluationResults>{members}</EvaluationResults>"
        "</SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>"
    )
