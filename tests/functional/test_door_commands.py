"""`harness up`, `exec` and `down`: programs that know nothing of the door, and reach nothing but it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.door_state import StateFolder
from tests.functional.test_cli import HARNESS

# Refuses every connection but those to this machine, and every look-up of a name, from inside the program.
ALONE = """
import sys

def watch(event, arguments):
    if event == "socket.getaddrinfo" and arguments[0] not in ("127.0.0.1", "localhost"):
        raise PermissionError(f"looked up {arguments[0]}")
    if event == "socket.connect" and arguments[1][0] != "127.0.0.1":
        raise PermissionError(f"connected to {arguments[1]}")

sys.addaudithook(watch)
"""
# The calls of the SageMaker SDK before a job: STS by its full name, IAM, S3 (SDK v2, session.py).
LIKE_THE_SDK = """
import boto3

session = boto3.Session()
sts = session.client("sts", region_name=session.region_name, endpoint_url="https://sts.us-west-2.amazonaws.com")
caller = sts.get_caller_identity()
role = session.client("iam").get_role(RoleName=caller["Arn"].split("/")[1])["Role"]["Arn"]
bucket = f"sagemaker-{session.region_name}-{caller['Account']}"
s3 = session.resource("s3")
s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": session.region_name})
s3.Object(bucket, "key").put(Body=b"value")
print(role, s3.Object(bucket, "key").get()["Body"].read().decode(), session.get_credentials().access_key[:4])
"""


class Place:
    """A folder of its own in which `harness` is run, without anything of AWS's in the environment but traps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = StateFolder(folder / "runs" / "door")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self.environment = {**kept, "AWS_PROFILE": "nobody", "AWS_ENDPOINT_URL_S3": "http://192.0.2.1"}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [HARNESS, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def script(self, text: str) -> str:
        path = self.folder / "script.py"
        path.write_text(textwrap.dedent(text))
        return str(path)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.run("down")
    assert not place.state.held()


def test_a_program_reaches_the_door_with_all_other_network_refused(place: Place) -> None:
    done = place.run("exec", "--", sys.executable, place.script(ALONE + LIKE_THE_SDK))

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "arn:aws:iam::000000000000:role/SageMakerHarness value ASIA"
    assert done.stderr.startswith("the AWS door serves at http://127.0.0.1:")


def test_the_exit_code_is_the_programs_own_and_the_door_goes_on(place: Place) -> None:
    assert place.run("exec", "--", sys.executable, "-c", "raise SystemExit(7)").returncode == 7
    first = place.state.door()

    again = place.run("exec", "--", sys.executable, "-c", "import os; print(os.environ['AWS_ENDPOINT_URL'])")

    assert first is not None
    assert (again.stdout.strip(), again.stderr) == (first.url, "")


def test_a_program_that_is_not_there_is_told(place: Place) -> None:
    done = place.run("exec", "--", "no-such-program", "--option")

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "harness: cannot be run: No such file or directory: no-such-program --option"
    )


def test_the_users_own_sitecustomize_is_run_as_well(place: Place) -> None:
    mine = place.folder / "mine"
    mine.mkdir()
    (mine / "sitecustomize.py").write_text("import builtins\nbuiltins.mine = 'was run'\n")
    place.environment["PYTHONPATH"] = str(mine)

    done = place.run("exec", "--", sys.executable, "-c", "print(mine)")

    assert done.stdout == "was run\n", done.stderr


def test_the_sdks_long_sleeps_are_cut_short(place: Place) -> None:
    sdk = place.folder / "sdk" / "sagemaker"
    sdk.mkdir(parents=True)
    (sdk / "__init__.py").touch()
    (sdk / "session.py").write_text("import time\n\n\ndef wait():\n    time.sleep(3600)\n    return time.time()\n")
    place.environment["PYTHONPATH"] = str(sdk.parent)

    done = place.run("exec", "--", sys.executable, "-c", "from sagemaker.session import wait; print(wait() > 0)")

    assert done.stdout == "True\n", done.stderr


def test_what_up_prints_leads_a_shell_to_the_door(place: Place) -> None:
    shell = f'eval "$({HARNESS} up)" && {sys.executable} {place.script(ALONE + LIKE_THE_SDK)}'
    up = place.run("up")

    done = subprocess.run(
        ["sh", "-c", shell],
        cwd=place.folder,
        env=place.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert up.returncode == 0
    assert "unset AWS_PROFILE" in up.stdout
    assert done.returncode == 0, done.stderr
    assert "served already" in done.stderr


def test_a_door_starts_anew_after_it_was_killed_and_stops_twice(place: Place) -> None:
    place.run("up")
    first = place.state.door()
    assert first is not None
    os.kill(first.pid, signal.SIGKILL)
    end = time.monotonic() + 10
    while place.state.held() and time.monotonic() < end:
        time.sleep(0.02)

    place.run("up")
    second = place.state.door()

    assert second is not None
    assert second.pid != first.pid
    assert second.access_key_id != first.access_key_id
    assert place.run("down").returncode == 0
    assert place.state.door() is None
    again = place.run("down")
    assert (again.returncode, again.stderr) == (0, "no door serves\n")


UPLOAD = """
import boto3

s3 = boto3.client("s3")
s3.create_bucket(Bucket="kept", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
s3.put_object(Bucket="kept", Key="../../a b+ü", Body=b"first", ContentType="text/csv", Metadata={"my_key": "v"})
s3.put_object(Bucket="kept", Key="../../a b+ü", Body=b"second", ContentType="text/csv", Metadata={"my_key": "v"},
              CacheControl="no-cache", ChecksumAlgorithm="SHA256")
s3.copy_object(Bucket="kept", Key="copy", CopySource={"Bucket": "kept", "Key": "../../a b+ü"})
upload = s3.create_multipart_upload(Bucket="kept", Key="large")["UploadId"]
part = s3.upload_part(Bucket="kept", Key="large", UploadId=upload, PartNumber=1, Body=b"x" * 6_000_000)
parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
s3.complete_multipart_upload(Bucket="kept", Key="large", UploadId=upload, MultipartUpload=parts)
for key in ("one", "two & three", "four"):
    s3.put_object(Bucket="kept", Key=key, Body=b"gone")
s3.delete_object(Bucket="kept", Key="one")
s3.delete_objects(Bucket="kept", Delete={"Objects": [{"Key": "two & three"}, {"Key": "four"}]})
s3.create_bucket(Bucket="gone", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
s3.delete_bucket(Bucket="gone")
print("done")
"""
DELETE_ONE_OF_TWO = """
import boto3

boto3.client("s3").delete_object(Bucket="kept", Key="../../a b+ü")
"""
LOOK = """
import boto3

s3 = boto3.client("s3")
print([bucket["Name"] for bucket in s3.list_buckets()["Buckets"]])
for each in s3.list_objects_v2(Bucket="kept")["Contents"]:
    found = s3.get_object(Bucket="kept", Key=each["Key"])
    print(each["Key"], len(found["Body"].read()), found["ContentType"], found["Metadata"])
    assert (each["Size"], each["ETag"]) == (found["ContentLength"], found["ETag"])
    assert each["Key"] == "large" or (found["CacheControl"], len(found["ChecksumSHA256"])) == ("no-cache", 44)
"""


def test_objects_that_were_acknowledged_outlive_the_sudden_end_of_the_door(place: Place) -> None:
    uploaded = place.run("exec", "--", sys.executable, place.script(UPLOAD))
    assert uploaded.stdout == "done\n", uploaded.stderr
    before = place.run("exec", "--", sys.executable, place.script(LOOK)).stdout
    door = place.state.door()
    assert door is not None
    os.kill(door.pid, signal.SIGKILL)

    after = place.run("exec", "--", sys.executable, place.script(LOOK)).stdout

    assert after == before
    assert before.splitlines() == [
        "['kept']",
        "../../a b+ü 6 text/csv {'my_key': 'v'}",
        "copy 6 text/csv {'my_key': 'v'}",
        "large 6000000 binary/octet-stream {}",
    ]
    kept = [path for path in place.folder.rglob("*") if path.is_file()]
    assert all(path.is_relative_to(place.state.path) or path.name == "script.py" for path in kept)
    assert len(list((place.state.path / "s3" / "contents").iterdir())) == 2, "the copy shares its content"
    alone = place.run("exec", "--", sys.executable, place.script(DELETE_ONE_OF_TWO + LOOK)).stdout
    assert alone.splitlines() == [line for line in before.splitlines() if not line.startswith("..")]


def test_a_port_that_is_taken_is_told_in_one_line_with_what_to_do(place: Place) -> None:
    place.run("up")
    door = place.state.door()
    assert door is not None
    port = door.url.rpartition(":")[2]

    other = place.run("up", "--state", str(place.folder / "other"), "--port", port)
    elsewhere = place.run("up", "--port", "1")

    assert other.returncode == 1
    assert f"port {port}: Address already in use; name another one" in other.stderr
    assert "Traceback" not in other.stderr
    assert elsewhere.returncode == 2
    assert f"--port 1: the door serves at {door.url} already" in elsewhere.stderr


def test_whoever_looks_whether_a_door_serves_keeps_none_from_starting(tmp_path: Path) -> None:
    folder, over = StateFolder(tmp_path), threading.Event()

    def look() -> None:
        while not over.is_set():
            folder.held()

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(300):
            with folder.locked():
                pass
    finally:
        over.set()
        looking.join()


def test_programs_that_start_at_once_find_one_door(place: Place) -> None:
    program = "import os; print(os.environ['AWS_ENDPOINT_URL'])"
    with ThreadPoolExecutor(3) as pool:
        ran = list(pool.map(lambda _: place.run("exec", "--", sys.executable, "-c", program), range(3)))

    door = place.state.door()
    assert door
    assert [(each.returncode, each.stdout.strip()) for each in ran] == [(0, door.url)] * 3, ran
    place.run("down")
    assert not place.state.held()  # by none that came too late


def test_only_one_door_serves_from_a_folder(place: Place) -> None:
    place.run("up")

    second = place.run("up", "--foreground")

    assert second.returncode == 2
    assert "a door serves from this folder already: harness down stops it" in second.stderr
