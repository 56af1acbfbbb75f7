"""Which permissions a promoted job takes, as questions to IAM, and who may assume a role. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.job import Hosting, TrainingJob

SERVICE = "sagemaker.amazonaws.com"


@dataclass(frozen=True)
class Wanted:
    """Actions of one principal on one resource, for IAM to simulate; ``context`` are condition keys and values."""

    actions: tuple[str, ...]
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)


def wanted_of_caller(job: TrainingJob, hosting: Hosting | None, region: str, account: str, role: str) -> list[Wanted]:
    """What promoting ``job`` does with the caller's own permissions; ``role`` is an ARN."""
    name, here = f"{job.base_job_name}-0", f"{region}:{account}"
    bucket = f"arn:aws:s3:::sagemaker-{region}-{account}"
    job_actions = ("sagemaker:CreateTrainingJob", "sagemaker:DescribeTrainingJob", "sagemaker:StopTrainingJob")
    wanted = [
        Wanted(job_actions, f"arn:aws:sagemaker:{here}:training-job/{name}"),
        Wanted(("iam:PassRole",), role, {"iam:PassedToService": SERVICE}),
        Wanted(("s3:ListBucket", "s3:CreateBucket"), bucket),
        Wanted(("s3:GetObject", "s3:PutObject"), f"{bucket}/harness-inputs/0"),
        Wanted(
            ("logs:DescribeLogStreams", "logs:GetLogEvents"),
            f"arn:aws:logs:{here}:log-group:/aws/sagemaker/TrainingJobs:log-stream:{name}/algo-1",
        ),
    ]
    if hosting:
        for resource, actions in {
            "model": ("CreateModel", "DeleteModel"),
            "endpoint-config": ("CreateEndpointConfig", "DescribeEndpointConfig", "DeleteEndpointConfig"),
            "endpoint": ("CreateEndpoint", "DescribeEndpoint", "InvokeEndpoint", "DeleteEndpoint"),
        }.items():
            names = tuple(f"sagemaker:{action}" for action in actions)
            wanted.append(Wanted(names, f"arn:aws:sagemaker:{here}:{resource}/{name}"))
    return wanted


def wanted_of_role(job: TrainingJob, region: str, account: str) -> list[Wanted]:
    """What SageMaker does for the job in the role's name."""
    bucket = f"arn:aws:s3:::sagemaker-{region}-{account}"
    sources = [f"{bucket}/harness-inputs/0"]
    sources += ["arn:aws:s3:::" + str(each.source)[len("s3://") :] for each in job.inputs if _is_s3(each.source)]
    return [
        *(Wanted(("s3:GetObject",), source) for source in dict.fromkeys(sources)),
        Wanted(("s3:PutObject",), f"{bucket}/{job.base_job_name}-0/output/model.tar.gz"),
        Wanted(
            ("logs:CreateLogStream", "logs:PutLogEvents"),
            f"arn:aws:logs:{region}:{account}:log-group:/aws/sagemaker/TrainingJobs:log-stream:x",
        ),
    ]


def trusted_services(policy: Any) -> tuple[str, ...] | None:
    """Who may assume a role by its trust policy, '*' standing for all; None where it is no policy."""
    if not isinstance(policy, Mapping):
        return None
    found: list[str] = []
    for statement in _listed(policy.get("Statement", [])):
        actions = _listed(statement.get("Action", []))
        if statement.get("Effect") != "Allow" or not {"sts:AssumeRole", "sts:*", "*"} & set(actions):
            continue
        principal = statement.get("Principal", {})
        found += ["*"] if principal == "*" else _listed(principal.get("Service", []))
        found += ["*"] if isinstance(principal, Mapping) and principal.get("AWS") == "*" else []
    return tuple(found)


def _is_s3(source: object) -> bool:
    return isinstance(source, str) and source.startswith("s3://")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
