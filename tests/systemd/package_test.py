"""The Debian packages under a real systemd: package_test.py DEBS, by hand, after scripts/package.

Each case is one line of TAP with its figure; they build on each other. Exit code 77 and a word where this machine has no namespaces.
The packages' dependencies are those of the machine, which built them: debootstrap_test.sh looks whether they are complete.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import systemd_test  # noqa: E402
from bed import Bed, Unavailable, await_true  # noqa: E402
from nodes import CLIENT, TLS, Nodes, Unit, at, unit  # noqa: E402

CASES = []
BACKUPS = "/var/lib/private/iris-backup/x"
LOAD_PATH = "/share/load.sh"
# Writes through the node in turn, reads through the next one; a line for each call that failed.
LOAD = f"""#!/bin/bash
client="{' '.join(CLIENT)}"
addresses="{','.join(map(at, Nodes.names))}"
for ((i = 0; ; i++)); do
  [ ! -e /run/load-ends ] || break
  iris-cli set load k $i -addr $addresses $client >/dev/null || echo "write $i: exit $?"
  [ "$(iris-cli get load k -addr $addresses $client)" = $i ] || echo "read $i"
done
echo "calls $((2 * i))"
"""


def case(function):
    CASES.append(function)
    return function


class World(systemd_test.World):
    def tidy_up(self):
        """The cases build on each other: nothing is taken away."""

    def install(self, version):
        return self.bed.run("bash", "-c", f"DEBIAN_FRONTEND=noninteractive dpkg -i /share/{version}/iris-*.deb /share/{version}/libiris-*.deb")

    def dpkg(self, action, *names):
        return self.bed.run("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", action, *names)


@case
def an_install_starts_nothing_and_has_its_files_and_modes(world):
    world.install("first")
    passwd = world.bed.said("getent", "passwd", "iris").split(":")
    assert passwd[5:] == ["/var/lib/iris", "/usr/sbin/nologin"], passwd
    assert world.bed.run("test", "-e", "/var/lib/iris", check=False).returncode != 0
    one = world.unit("iris.service")
    assert (one.UnitFileState, one.ActiveState, one.ConditionResult) == ("enabled", "inactive", "no")
    assert world.unit("iris.socket").UnitFileState == "disabled"
    assert world.unit("iris-backup@x.timer").UnitFileState == "disabled"
    files = world.bed.said("bash", "-c", "dpkg -L iris-server iris-client libiris-client1 libiris-client-dev | sort -u | xargs stat -c '%U:%G %a %F %n'")
    for line in files.splitlines():
        owner, mode, kind, name = re.match(r"(\S+) (\d+) (regular (?:empty )?file|directory|symbolic link) (/.*)", line).groups()
        assert owner == "root:root", line
        wanted = {"directory": "755", "symbolic link": "777"}.get(kind) or ("755" if re.search(r"/bin/|/libexec/", name) else "644")
        assert mode == wanted, line
    for name in ("/usr/bin/iris", "/lib/systemd/system/iris@.service", "/usr/share/iris/proto/iris.proto", "/etc/default/iris",
                 "/usr/share/doc/iris-server/examples/iris.conf", "/usr/share/doc/iris-client/README.md"):
        assert f" {name}\n" in files + "\n", name
    assert world.bed.run("test", "-e", "/etc/iris/iris.conf", check=False).returncode != 0
    assert not world.bed.run("dpkg", "--verify", "iris-server", "iris-client").stdout
    return f"{len(files.splitlines())} files"


@case
def with_a_configuration_it_starts(world):
    world.bed.write("/etc/iris/iris.conf", "nostela\ninsecure\nlisten 127.0.0.1\n")
    world.bed.run("systemctl", "start", "iris.service")
    assert world.set(systemd_test.ALONE, "k", *systemd_test.PLAIN).returncode == 0
    world.bed.write("/etc/iris/backup-x.env", f"IRIS_ADDR={systemd_test.ALONE}\nIRIS_NOSTELA=true\nIRIS_INSECURE=true\n")
    world.bed.run("systemctl", "start", "iris-backup@x.timer", "iris-backup@x.service")
    assert world.bed.run("ls", BACKUPS).stdout
    assert world.bed.said("stat", "-c", "%U:%G %a", "/var/lib/iris") == "iris:iris 700"


@case
def an_upgrade_restarts_what_runs_and_clients_see_no_error(world):
    world.nodes.write_files()
    world.bed.run("systemctl", "start", *map(unit, world.nodes.names))
    world.nodes.await_whole()
    running = ["iris.service", *map(unit, world.nodes.names)]
    pids = {name: world.unit(name).MainPID for name in running}
    world.bed.write(LOAD_PATH, LOAD, "755")
    load = world.bed.start_process(LOAD_PATH, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = []
    reader = threading.Thread(target=lambda: said.extend(load.stdout))
    reader.start()
    await_true("a first call is answered", lambda: world.bed.run("iris-cli", "get", "load", "k", "-addr", at("a"), *CLIENT, check=False).returncode == 0)
    world.install("second")
    for name in running:
        one = world.unit(name)
        assert one.ActiveState == "active" and one.MainPID != pids[name], name
    world.nodes.await_whole()
    assert world.bed.said("dpkg-query", "-W", "-f", "${Version}", "iris-server").endswith("+upgrade")
    world.bed.run("touch", "/run/load-ends")
    reader.join(60)
    assert len(said) == 1 and said[0].startswith("calls "), said
    return f"{said[0].strip()}, no error"


@case
def a_removal_stops_all_and_keeps_the_data(world):
    world.dpkg("--remove", "iris-server", "iris-client")
    for name in ("iris.service", *map(unit, world.nodes.names), "iris-backup@x.timer"):
        assert world.unit(name).ActiveState in ("inactive", "failed"), name
    assert world.bed.run("pgrep", "-x", "iris", check=False).returncode != 0
    world.bed.run("test", "-d", "/var/lib/iris/raftDir", "-a", "-d", "/var/lib/iris/a/raftDir", "-a", "-e", "/etc/iris/iris.conf", "-a", "-e", "/etc/default/iris")


@case
def an_install_again_finds_the_data(world):
    world.install("second")
    world.bed.run("systemctl", "start", "iris.service")
    assert world.bed.said("iris-cli", "get", "s", "k", "-addr", systemd_test.ALONE, *systemd_test.PLAIN) == "v"


@case
def a_purge_takes_the_data_and_leaves_what_an_administrator_wrote(world):
    world.dpkg("--purge", "iris-server", "iris-client", "libiris-client-dev", "libiris-client1")
    for gone in ("/var/lib/iris", "/etc/default/iris", "/usr/bin/iris", "/usr/share/iris"):
        assert world.bed.run("test", "-e", gone, check=False).returncode != 0, gone
    world.bed.run("test", "-e", "/etc/iris/iris.conf", "-a", "-e", f"{TLS}/ca.crt")
    assert world.bed.run("ls", BACKUPS).stdout
    left = world.bed.said("bash", "-c", "find /etc /usr/lib/systemd /var/lib/systemd -name '*iris*' -not -path '/etc/iris*' -not -path '*/sysusers.d/*'")
    assert not left, left
    world.bed.run("rm", "-r", "/etc/iris")
    world.install("first")
    world.dpkg("--purge", "iris-server")
    assert world.bed.run("test", "-e", "/etc/iris", check=False).returncode != 0


def newer(debs, target):
    """The same packages, with a later version."""
    target.mkdir()
    for deb in debs:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["dpkg-deb", "-R", deb, folder], check=True)
            control = pathlib.Path(folder, "DEBIAN/control")
            text = re.sub(r"^(Version: \S+)$", r"\1+upgrade", control.read_text(encoding="utf-8"), flags=re.M)
            control.write_text(re.sub(r"(libiris-client1 \(= [^)]+)\)", r"\1+upgrade)", text), encoding="utf-8")
            subprocess.run(["dpkg-deb", "-Znone", "--root-owner-group", "-b", folder, target / deb.name], check=True, stdout=subprocess.DEVNULL)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("debs", type=lambda text: pathlib.Path(text).resolve())
    asked = parser.parse_args()
    debs = sorted(asked.debs.glob("*.deb"))
    if len(debs) != 4:
        sys.exit(f"package_test.py: four packages are expected in {asked.debs}, and there are {len(debs)}: run scripts/package")
    folder = asked.debs.parent / "package-test"
    bed = Bed(folder / "bed", folder / "share")
    try:
        bed.check()
        shutil.rmtree(folder, ignore_errors=True)
        systemd_test.prepare_certificates(folder / "share")
        (folder / "share/first").mkdir()
        for deb in debs:
            shutil.copy(deb, folder / "share/first")
        newer(debs, folder / "share/second")
        bed.start()
        bed.run("rm", "-f", "/usr/sbin/policy-rc.d")  # images of containers forbid packages to start anything
        failed = systemd_test.run_cases(World(bed), CASES)
    except Unavailable as why:
        print(f"skipped: {why}")
        return systemd_test.EXIT_SKIPPED
    finally:
        bed.stop()
    print(f"1..{len(CASES)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
