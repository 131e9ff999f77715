"""`python -m deploy.demo`: the whole loop on this machine, until Ctrl-C. Wiring only."""

import argparse
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from deploy.broker import NoBroker
from deploy.demo.installation import FOLDER, MEYER, FolderTaken, Installation, NotAllStarted, installed
from deploy.demo.terminal import Terminal
from deploy.demo.ward import Ward
from tests.support.site import PASSWORD

LOOK_SECONDS = 0.3
FIRST_WITHIN_SECONDS = 60.0


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; return 0 when it was ended by a person, 1 when a part of it failed."""
    parser = argparse.ArgumentParser(prog="make run", description="The whole loop, with a simulated ward.")
    parser.add_argument("--once", action="store_true", help="end by itself after the first page and the first e-mail")
    parser.add_argument(
        "--folder", type=Path, default=FOLDER, help="where its files, stores and logs go; emptied first"
    )
    chosen = parser.parse_args(arguments)
    terminal, code = Terminal(), 1
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)  # SIGINT too: a shell's background job begins with it ignored
    try:
        with installed(terminal, chosen.folder.resolve()) as installation:
            code = _run(installation, terminal, once=chosen.once)
    except (FolderTaken, NoBroker) as problem:
        terminal.failure(str(problem))
    except NotAllStarted as problem:
        terminal.failure(str(problem), problem.tail)
    except KeyboardInterrupt:
        code = 0
    terminal.say("demo", "ended; nothing is left running")
    return code


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _run(installation: Installation, terminal: Terminal, *, once: bool) -> int:
    """Let the ward play until a person ends it or a part fails."""
    terminal.addresses(installation.addresses(PASSWORD, MEYER.name))
    ward = Ward(installation.hospital, terminal.ward)
    started = time.monotonic()
    ward.start()
    try:
        while True:
            time.sleep(LOOK_SECONDS)
            if (fault := _fault(installation, ward)) is not None:
                terminal.failure(*fault)
                return 1
            if once and terminal.both_shown.is_set():
                terminal.say(
                    "demo", f"first page and first mail {time.monotonic() - started:.1f} s after the first draw"
                )
                return 0
            if once and time.monotonic() - started > FIRST_WITHIN_SECONDS:
                terminal.failure(f"no page and mail within {FIRST_WITHIN_SECONDS:.0f} s")
                return 1
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave processes behind
        ward.stop()


def _fault(installation: Installation, ward: Ward) -> tuple[str, str] | None:
    """Return what has failed, with the last lines of its log."""
    for service in installation.services:
        if not service.is_running:
            return f"{service.name} ended with {service.exit_code}; its log is {service.log}", service.tail()
    if ward.failure is not None:
        return f"the ward stopped: {ward.failure}", installation.hospital.system.ingest.tail()
    return None


if __name__ == "__main__":
    sys.exit(main())
