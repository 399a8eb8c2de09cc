"""Makes in InfluxDB 2 what history needs: the organisation, a bucket for readings and one for rollups, their retention.

Nothing linked to a person is in either: passage keys stay in the journal and the embedded history.
"""

from __future__ import annotations

import secrets

import urllib3
from influxdb_client import BucketRetentionRules, InfluxDBClient, OnboardingRequest, SetupService
from influxdb_client.rest import ApiException

from ingest.history.settings import InfluxSettings
from telemetry.errors import BadConfiguration, Unavailable

_DAY_S = 86_400


def set_up(settings: InfluxSettings, admin_token: str | None = None) -> list[str]:
    """Make what is missing and change what differs; what was done or found, a line each.

    Raises BadConfiguration when InfluxDB does not let us, Unavailable when it is away.
    """
    token = admin_token or settings.token.get_secret_value()
    try:
        with InfluxDBClient(
            settings.url, token, org=settings.org, timeout=settings.timeout_ms, retries=False
        ) as client:
            done = _onboard(client, settings)
            org = _organisation(client, settings.org, done)
            for bucket, days in (
                (settings.bucket, settings.keep_raw_days),
                (settings.rollup_bucket, settings.keep_rollup_days),
            ):
                done.append(_bucket(client, org, bucket, days))
            return done
    except ApiException as error:
        if error.status in (401, 403):
            raise BadConfiguration(
                f"InfluxDB at {settings.url} does not let history.token make organisations and buckets: "
                "give GATEHOUSE_INFLUXDB_TOKEN that of an administrator"
            ) from error
        raise Unavailable(f"InfluxDB at {settings.url} answers {error.status}: {error.body or error.reason}") from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise Unavailable(f"InfluxDB at {settings.url}: {error}") from error


def _onboard(client: InfluxDBClient, settings: InfluxSettings) -> list[str]:
    """A server that nobody has used yet gets its first user; its token is the one that we are configured with."""
    service = SetupService(client.api_client)
    if not service.get_setup().allowed:
        return []
    password = secrets.token_urlsafe(16)
    service.post_setup(
        OnboardingRequest(
            username="gatehouse",
            password=password,
            org=settings.org,
            bucket=settings.bucket,
            retention_period_seconds=(settings.keep_raw_days or 0) * _DAY_S,
            token=client.token,
        )
    )
    return [f"InfluxDB at {settings.url} was new: user gatehouse, password {password}"]


def _organisation(client: InfluxDBClient, name: str, done: list[str]) -> str:
    organisations = client.organizations_api()
    try:
        found = organisations.find_organizations(org=name)
    except ApiException as error:
        if error.status != 404:
            raise
        found = []
    if not found:
        found = [organisations.create_organization(name)]
        done.append(f"organisation {name}: made")
    return str(found[0].id)


def _bucket(client: InfluxDBClient, org: str, name: str, days: int | None) -> str:
    buckets = client.buckets_api()
    seconds = (days or 0) * _DAY_S  # 0: for ever
    kept = "for ever" if days is None else f"for {days} days"
    found = [each for each in buckets.find_buckets_iter(org_id=org) if each.name == name]
    if not found:
        rules = [BucketRetentionRules(every_seconds=seconds)] if seconds else None
        buckets.create_bucket(bucket_name=name, org=org, retention_rules=rules)
        return f"bucket {name}: made, keeps {kept}"
    bucket = found[0]
    if sum(rule.every_seconds for rule in bucket.retention_rules) == seconds:
        return f"bucket {name}: keeps {kept}"
    bucket.retention_rules = [BucketRetentionRules(every_seconds=seconds)]
    buckets.update_bucket(bucket)
    return f"bucket {name}: changed, keeps {kept}"
