"""The doctor: is this machine ready for runs, and what makes it so."""

from engine.doctor.checks import run_checks
from engine.doctor.fix import fix_machine
from engine.doctor.machine import BASE_IMAGE, TOOLS_IMAGE, Machine
from engine.doctor.results import CheckResult, CheckState

__all__ = ["BASE_IMAGE", "TOOLS_IMAGE", "CheckResult", "CheckState", "Machine", "fix_machine", "run_checks"]
