"""`make bundle-test`: builds this version's bundle and a next one's, and tries them in a Debian 12 without network.

The root is made by debootstrap once (python3, systemd, mosquitto and what Debian always has) and kept in
${GATEHOUSE_TOOLS:-${XDG_CACHE_HOME:-~/.cache}/gatehouse}; it boots its own systemd with systemd-nspawn, so the units run as
they will. Needs root, and debootstrap and systemd-container. What happens inside stands in `inside.py`.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from deploy.bundle.__main__ import make_bundle
from deploy.licences import ROOT
from gatehouse.migrate import newest_schema
from tests import district

HERE = Path(__file__).parent
INSIDE = "trial"
MAKER, STRANGER = "maker@example.org", "stranger@example.org"
# The next version differs by a migration that adds a column to what the core writes.
MIGRATION = f'''"""One more."""
import sqlalchemy as sa
from alembic import op
revision, down_revision, branch_labels, depends_on = "next", "{newest_schema()}", None, None
def upgrade(): op.add_column("quarantine_count", sa.Column("seen", sa.Integer))
def downgrade():
    with op.batch_alter_table("quarantine_count") as table: table.drop_column("seen")
'''
UNIT = f"""[Unit]
After=mosquitto.service
[Service]
Type=exec
ExecStart=/usr/bin/python3 /{INSIDE}/inside.py
StandardOutput=file:/{INSIDE}/log
StandardError=file:/{INSIDE}/log
"""


def debian() -> Path:
    """The bare root, made the first time."""
    cache = (
        os.environ.get("GATEHOUSE_TOOLS")
        or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gatehouse"
    )
    root = Path(cache) / "debian-bookworm"
    if not root.exists():
        part = root.with_suffix(".part")
        run("debootstrap", "--variant=minbase", "--include=python3,systemd-sysv,mosquitto", "bookworm", part)
        part.rename(root)
    return root


def next_version(folder: Path, key: str) -> Path:
    """A bundle of this tree with another number and one more migration."""
    tree = folder / "tree"
    names = subprocess.run(
        ["git", "ls-files", "-z", "-c", "-o", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True
    )
    for name in names.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tree / name)
    shutil.copytree(ROOT / "api/screens", tree / "api/screens")
    (tree / ".release").symlink_to(ROOT / ".release")
    project = tree / "pyproject.toml"
    project.write_text(project.read_text().replace('version = "0.1.0"', 'version = "0.1.1"', 1))
    (tree / "gatehouse/migrations/versions/next.py").write_text(MIGRATION)
    run(sys.executable, "-m", "deploy.bundle", "--sign", key, cwd=tree)
    (made,) = (tree / "dist").glob("*.tar.gz")
    return made


def make_key(name: str) -> None:
    run("gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key", name, "ed25519", "sign", "1d")


def main() -> int:
    """0 when all is well inside."""
    with tempfile.TemporaryDirectory(prefix="gatehouse-bundle-") as made:
        folder = Path(made)
        os.environ["GNUPGHOME"] = str(folder / "keys")
        (folder / "keys").mkdir(mode=0o700)
        make_key(MAKER)
        make_key(STRANGER)
        try:
            first = make_bundle(MAKER)
            return boot(folder / "root", first, next_version(folder, MAKER))
        finally:
            run("gpgconf", "--kill", "gpg-agent")


def boot(root: Path, first: Path, following: Path) -> int:
    """Start a Debian of its own with both bundles in it; 0 when all was well inside."""
    run("cp", "--archive", "--reflink=auto", debian(), root)
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")  # as Debian's installer leaves it; debootstrap does not
    trial = root / INSIDE
    trial.mkdir()
    shutil.copy(HERE / "inside.py", trial)
    shutil.copy(first, trial / "first.tar.gz")
    shutil.copy(following, trial / "next.tar.gz")
    district.write_district(trial / "site")
    run("gpg", "--batch", "--output", trial / "release.gpg", "--export", MAKER)
    sums = ROOT / "dist" / first.name.split("-py")[0] / "SHA256SUMS"
    signing = ["gpg", "--batch", "--armor", "--local-user", STRANGER, "--output", str(trial / "stranger.asc")]
    run(*signing, "--detach-sign", sums)
    unit = root / "etc/systemd/system/trial.service"
    unit.write_text(UNIT)
    (unit.parent / "multi-user.target.wants" / unit.name).symlink_to(f"../{unit.name}")
    command = ["systemd-nspawn", "--quiet", "--private-network", "--register=no", "--keep-unit", "--boot"]
    with (trial / "console").open("wb") as console:
        # It complains when its own folder in /run is no file system in memory; what matters is what was found inside.
        subprocess.run([*command, "--directory", str(root)], stdin=subprocess.DEVNULL, stdout=console, stderr=console)
    if not (trial / "results.json").exists():
        print((trial / "console").read_text(errors="replace")[-4000:])
        return 1
    found = json.loads((trial / "results.json").read_text())
    for what, value in found.items():
        print(f"{what}: {value}")
    return 0 if found.get("well") else 1


def run(*command: str | Path, cwd: Path | None = None) -> None:
    subprocess.run([str(part) for part in command], check=True, cwd=cwd)


if __name__ == "__main__":
    sys.exit(main())
