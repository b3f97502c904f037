"""Bed: a real systemd as process 1 of namespaces of its own, over a throw-away copy of this machine's root.

What is written inside is gone afterwards. Inside: the machine's programs and libraries, a network of its own with nothing but
lo, and the folder `share` as /share. Needs root, cgroup v2 and systemd; where they are not to be had, start() raises
Unavailable with the reason. One at a time for each folder; the caller ends it with stop().
"""
import os
import pathlib
import shutil
import signal
import subprocess
import time

BOOT_SECONDS_MAX = 30
COMMAND_SECONDS_MAX = 60
NAMESPACES = ["--mount", "--pid", "--fork", "--uts", "--ipc", "--cgroup", "--net", "--kill-child"]
# What inside.sh does that a machine may forbid although it gives namespaces, as containers without all rights do.
TRIAL = """
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
mount -t proc proc /mnt/root/proc
mount -t sysfs -o ro sysfs /mnt/root/sys
mount -t cgroup2 cgroup2 /mnt/root/sys/fs/cgroup
mknod /mnt/null c 1 3
"""


class Unavailable(Exception):
    """Why there is no bed on this machine."""


def await_true(what, state, seconds=30, pause=0.05):
    """Waits until state() is true and returns how long that took; AssertionError naming `what` where it never is."""
    begin = time.monotonic()
    while True:
        found = state()
        if found:
            return time.monotonic() - begin
        if time.monotonic() - begin > seconds:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(pause)


def cgroup_root():
    """Where cgroup v2 is mounted."""
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        found = [line.split()[1] for line in mounts if line.split()[2] == "cgroup2"]
    if not found:
        raise Unavailable("there is no cgroup v2")
    return pathlib.Path(found[0])


class Bed:
    def __init__(self, folder, share):
        self.folder = pathlib.Path(folder)
        self.share = pathlib.Path(share)
        self.cgroup = None
        self.outer = None  # unshare, whose one child is the systemd inside
        self.init = None

    def start(self):
        """Boots; the bed is up when basic.target is reached."""
        self.check()
        self.cgroup = cgroup_root() / f"iris-test-bed-{os.getpid()}"
        try:
            self.cgroup.mkdir()
        except OSError as error:
            self.cgroup = None
            raise Unavailable(f"no cgroup can be made: {error.strerror}") from error
        (self.folder / "layers").mkdir(parents=True, exist_ok=True)
        inside = pathlib.Path(__file__).with_name("inside.sh")
        enter = f'echo $$ >"{self.cgroup}/cgroup.procs" && exec unshare "$@"'
        with open(self.folder / "console", "w", encoding="utf-8") as console:
            self.outer = subprocess.Popen(
                ["bash", "-c", enter, "bash", *NAMESPACES, "bash", inside, self.folder, self.share],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        await_true("systemd is up in the test bed", self.is_up, BOOT_SECONDS_MAX)

    @staticmethod
    def check():
        if os.geteuid() != 0:
            raise Unavailable("it needs root")
        for program in ("unshare", "nsenter", "systemctl", "kill"):
            if shutil.which(program) is None:
                raise Unavailable(f"there is no {program}")
        if not os.path.exists("/lib/systemd/systemd"):
            raise Unavailable("there is no systemd")
        tried = subprocess.run(["unshare", *NAMESPACES, "bash", "-ec", TRIAL], capture_output=True, text=True)
        if tried.returncode != 0:
            raise Unavailable(f"no namespaces, or nothing to mount in them: {tried.stderr.strip()}")

    def is_up(self):
        if self.outer.poll() is not None:
            raise AssertionError("the test bed ended: " + (self.folder / "console").read_text(encoding="utf-8"))
        children = pathlib.Path(f"/proc/{self.outer.pid}/task/{self.outer.pid}/children").read_text(encoding="utf-8").split()
        if not children:
            return False
        self.init = children[0]
        # Before it is systemd it is a shell, whose root may still be the machine's.
        if pathlib.Path(f"/proc/{self.init}/comm").read_text(encoding="utf-8").strip() != "systemd":
            return False
        return self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded")

    def run(self, *command, check=True, text=None):
        """Runs a command inside, as root. CompletedProcess, or AssertionError with what it said."""
        done = subprocess.run(
            ["nsenter", "-t", self.init, "-m", "-p", "-u", "-i", "-n", "-C", "-r", "-w", "--", *map(str, command)],
            capture_output=True, text=True, input=text, timeout=COMMAND_SECONDS_MAX)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(map(str, command))}: exit {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def said(self, *command):
        return self.run(*command).stdout.strip()

    def start_process(self, *command, **options):
        """A command inside that goes on beside the test."""
        return subprocess.Popen(["nsenter", "-t", self.init, "-m", "-p", "-u", "-i", "-n", "-C", "-r", "-w", "--", *map(str, command)], **options)

    def write(self, path, text, mode="644"):
        self.run("mkdir", "-p", os.path.dirname(path))
        self.run("tee", path, text=text)
        self.run("chmod", mode, path)

    def stop(self):
        if self.outer is not None:
            # unshare takes systemd with it, and systemd all that runs in its namespace.
            self.outer.send_signal(signal.SIGKILL)
            self.outer.wait()
        if self.cgroup is not None:
            await_true("the cgroups of the test bed are empty", self.remove_cgroups)

    def remove_cgroups(self):
        for folder, _, _ in os.walk(self.cgroup, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:
                return False
        return True
