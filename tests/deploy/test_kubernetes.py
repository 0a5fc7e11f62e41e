"""The example of a CronJob without a cluster: what it names exists, fits together, and fits the settings."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from retrain.cli.main import app
from retrain.cli.once import EXIT_FAILED, EXIT_NOT_ANNOUNCED
from retrain.cli.options import EXIT_STORE
from retrain.cli.serving import EXIT_BUSY
from retrain.core.trigger import TriggerRules, check_rules
from retrain.settings import RetrainSettings, load_retrain_settings
from streamapp.console import EXIT_BROKER, EXIT_USAGE
from tests.deploy.compose import lines
from tests.deploy.files import DEPLOY

FILE = DEPLOY / "kubernetes" / "retrain-cronjob.yaml"
OBJECTS = {
    (each["kind"], each["metadata"]["name"]): each
    for each in yaml.safe_load_all(FILE.read_text(encoding="utf-8"))
}
CRON_JOB: dict[str, Any] = OBJECTS["CronJob", "retrain"]["spec"]
JOB: dict[str, Any] = CRON_JOB["jobTemplate"]["spec"]
POD: dict[str, Any] = JOB["template"]["spec"]
(CONTAINER,) = POD["containers"]
MOUNTS = {mount["mountPath"]: mount["name"] for mount in CONTAINER["volumeMounts"]}


@pytest.fixture
def settings(tmp_path: Path) -> RetrainSettings:
    """The settings as the pod reads them."""
    variables = {each["name"]: each for each in CONTAINER["env"]}
    path = Path(variables["RETRAIN_CONFIG"]["value"])
    assert str(path.parent) in MOUNTS
    content = OBJECTS["ConfigMap", "retrain"]["data"][path.name]
    file = tmp_path / path.name
    file.write_text(content, encoding="utf-8")
    return load_retrain_settings(file, {"RETRAIN_BROKER__SASL_PASSWORD": "x"})


def test_objects_are_of_versions_that_kubernetes_has_now() -> None:
    versions = {kind: each["apiVersion"] for (kind, _), each in OBJECTS.items()}
    assert versions == {"ConfigMap": "v1", "PersistentVolumeClaim": "v1", "CronJob": "batch/v1"}


def test_the_command_and_its_options_exist() -> None:
    assert lines("retrain", "ENTRYPOINT") == [["retrain"]]
    command, *words = CONTAINER["args"]
    group: Any = typer.main.get_command(app)
    assert group.commands[command].make_context(command, list(words)).params["json_file"] == "-"


def test_every_volume_is_mounted_and_every_claim_is_there() -> None:
    assert {volume["name"] for volume in POD["volumes"]} == set(MOUNTS.values())
    for volume in POD["volumes"]:
        if "persistentVolumeClaim" in volume:
            assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in OBJECTS
        if "configMap" in volume:
            assert ("ConfigMap", volume["configMap"]["name"]) in OBJECTS


def test_what_must_be_kept_is_on_a_claim(settings: RetrainSettings) -> None:
    claims = {volume["name"] for volume in POD["volumes"] if "persistentVolumeClaim" in volume}
    kept = [path for path, name in MOUNTS.items() if name in claims]
    for place in (settings.store.path, settings.run.folder, settings.model_store.url):
        assert any(place == path or place.startswith(f"{path}/") for path in kept), place


def test_the_run_is_stopped_by_us_before_kubernetes_does_it(settings: RetrainSettings) -> None:
    assert settings.run.max_hours * 3600 + settings.run.patience_seconds < JOB["activeDeadlineSeconds"]
    assert settings.run.grace_seconds < POD["terminationGracePeriodSeconds"]
    limit = int(CONTAINER["resources"]["limits"]["memory"].removesuffix("Gi")) * 1024**3
    assert 0 < settings.run.max_memory_bytes < limit


def test_one_run_at_a_time_and_none_is_begun_again_in_vain() -> None:
    assert CRON_JOB["concurrencyPolicy"] == "Forbid"
    check_rules(TriggerRules(cron=CRON_JOB["schedule"], timezone=CRON_JOB["timeZone"]))
    (codes,) = (rule["onExitCodes"] for rule in JOB["podFailurePolicy"]["rules"] if "onExitCodes" in rule)
    assert codes["containerName"] == CONTAINER["name"]
    assert codes["values"] == [EXIT_USAGE, EXIT_FAILED, EXIT_NOT_ANNOUNCED, EXIT_BUSY]
    assert {EXIT_BROKER, EXIT_STORE}.isdisjoint(codes["values"])
    assert POD["restartPolicy"] == "Never"  # a policy by exit code needs it


def test_the_pod_has_no_more_rights_than_it_needs() -> None:
    ((user,),) = lines("streamapp", "USER")
    context = POD["securityContext"]
    assert f"{context['runAsUser']}:{context['runAsGroup']}" == user
    assert context["fsGroup"] == context["runAsGroup"]
    assert context["runAsNonRoot"] is True
    assert POD["automountServiceAccountToken"] is False
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert MOUNTS["/tmp"] == "tmp"


def test_the_image_has_an_exact_version_and_no_secret_is_written_down() -> None:
    assert re.fullmatch(r"[\w.]+/streamapp-retrain:\d+\.\d+\.\d+", CONTAINER["image"])
    secret = [each for each in CONTAINER["env"] if re.search("PASSWORD|SECRET|TOKEN|KEY", each["name"])]
    assert secret
    assert not [each for each in secret if "value" in each]
