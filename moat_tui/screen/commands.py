"""The command palette: every action by name, grouped by what it acts on."""

from __future__ import annotations

from typing import NamedTuple

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.screen import Screen

from moat_tui.screen.audit_screen import AuditScreen
from moat_tui.screen.doctor_screen import DoctorScreen
from moat_tui.screen.main_screen import MainScreen
from moat_tui.screen.models.request_order import COLUMNS
from moat_tui.screen.output_screen import OutputScreen


class Command(NamedTuple):
    name: str
    help: str
    action: str


EVERYWHERE = (
    Command("help: keys", "Show the keys of where you are", "app.toggle_help"),
    Command("view: dark or light", "Change between Moat's two themes", "app.toggle_theme"),
    Command("view: choose a theme", "All themes, the terminal's own colours among them", "app.change_theme"),
    Command("app: suspend", "To the shell; `fg` comes back", "app.suspend_process"),
    Command("app: quit", "Leave; runs go on unless you say otherwise", "app.quit"),
)
ON_MAIN = (
    Command("run: start", "Start a run in a workspace", "screen.start_run"),
    Command("run: output", "Open what the selected run printed", "screen.open_output"),
    Command("run: terminal", "The agent's if it has one, else a shell", "screen.open_terminal"),
    Command("run: attach", "To the agent's own terminal, and back with ctrl-p ctrl-q", "screen.attach_run"),
    Command("run: shell", "A shell beside the agent of the selected run", "screen.open_shell"),
    Command("run: stop", "Ask the selected run to end; a second time kills it", "screen.stop_run"),
    Command("run: kill", "Kill the selected run at once", "screen.kill_run"),
    Command("run: start again", "Start a run like the selected one", "screen.start_again"),
    Command("run: rename", "Give the selected run another name", "screen.rename_run"),
    Command("run: snapshot", "Keep what lies in its workspace now", "screen.snapshot_run"),
    Command("run: destroy", "Remove an ended run and all its records; asks", "screen.destroy_run"),
    Command("run: open the workspace", "In the file manager, or copy its path", "screen.open_workspace"),
    Command("request: detail", "All about the request under the cursor", "screen.open_request"),
    Command("request: filter", "Show only some of the requests", "screen.filter_requests"),
    Command("request: clear filter", "All requests again, by time", "screen.clear_filter"),
    Command("request: next match", "The next match of the filter", "screen.next_found(1)"),
    Command("request: previous match", "The match before", "screen.next_found(-1)"),
    Command("request: around", "Show what the filter hides too, or hide it", "screen.show_hidden"),
    Command("request: pause", "Hold new requests back, or let them come", "screen.pause_requests"),
    Command("request: copy as curl", "Without any credential", "screen.copy_curl"),
    *(
        Command(f"request: sort by {column}", "Again turns the order", f"screen.sort_requests('{column}')")
        for column in COLUMNS
    ),
    Command("request: follow", "Go to the newest request, and stay there", "screen.follow_requests"),
    Command("request: approvals", "Requests that wait for your answer", "screen.open_approvals"),
    Command("grant: add", "Store a credential that runs can be granted", "screen.add_grant"),
    Command("grant: show", "What is stored about the grant under the cursor", "screen.show_grant"),
    Command("grant: replace", "Store a new value for the grant under the cursor", "screen.replace_grant"),
    Command("grant: revoke", "Delete the credential under the cursor", "screen.revoke_grant"),
    Command("audit: verify", "Verify the selected run's chain again now", "screen.verify"),
    Command("audit: open", "The selected run's whole log, by type", "screen.open_audit"),
    Command("doctor: open", "Is this machine ready, and what can be mended", "screen.open_doctor"),
    Command("pane: runs", "Go to the runs", "screen.jump('runs')"),
    Command("pane: requests", "Go to the requests", "screen.jump('requests')"),
    Command("requests: all runs", "In one list, by time, or the selected run's", "screen.all_requests"),
    Command("pane: grants", "Go to the grants", "screen.jump('grants')"),
    Command("pane: audit", "Go to the audit chain", "screen.jump('audit')"),
    Command("view: zoom", "Enlarge the pane, or put it back", "screen.zoom"),
    Command("view: put back", "Put an enlarged pane back", "screen.unzoom"),
)
ON_OUTPUT = (
    Command("output: search", "Search the output", "screen.search"),
    Command("output: save", "Write the whole output to a file", "screen.save"),
    Command("output: next match", "The next line that matches", "screen.next(1)"),
    Command("output: previous match", "The previous line that matches", "screen.next(-1)"),
    Command("output: follow", "To the end, and stay there", "screen.follow"),
    Command("output: back", "Back to the panes", "screen.back"),
)
ON_AUDIT = (
    Command("audit: open entry", "All of the entry under the cursor", "screen.open"),
    Command("audit: verify", "Verify this run's chain from its start", "screen.verify"),
    Command("audit: verify all", "Verify the chains of all runs", "screen.verify_all"),
    Command("audit: export", "Write a proof bundle of this log", "screen.export"),
    Command("audit: dossier", "Write this run's story for a browser", "screen.dossier"),
    Command("audit: verify file", "Verify a proof bundle", "screen.verify_file"),
    Command("audit: chains", "To the chains of all runs, and back", "screen.chains"),
    Command("audit: break", "To where the chain breaks", "screen.to_break"),
    Command("audit: next type", "Show the next type of entries", "screen.next_type(1)"),
    Command("audit: previous type", "Show the type of entries before", "screen.next_type(-1)"),
    *(
        Command(f"audit: type {place}", "The type of entries with this digit", f"screen.type({place})")
        for place in range(10)
    ),
    Command("audit: back", "Cancel verifying, or back to the panes", "screen.back"),
)
ON_DOCTOR = (
    Command("doctor: check again", "Look at this machine again", "screen.check"),
    Command("doctor: fix", "Mend what can be mended; asks first", "screen.fix_machine"),
    Command("doctor: back", "Back to the panes", "screen.back"),
)

HERE: tuple[tuple[type[Screen[None]], tuple[Command, ...]], ...] = (
    (MainScreen, ON_MAIN),
    (OutputScreen, ON_OUTPUT),
    (AuditScreen, ON_AUDIT),
    (DoctorScreen, ON_DOCTOR),
)


class MoatCommands(Provider):
    """What can be done here; what cannot be done now is left out."""

    def _commands(self) -> list[Command]:
        here = next((commands for place, commands in HERE if isinstance(self.screen, place)), ())
        return [command for command in (*here, *EVERYWHERE) if self._possible(command)]

    def _possible(self, command: Command) -> bool:
        namespace, _, action = command.action.partition(".")
        node = self.screen if namespace == "screen" else self.app
        return bool(node.check_action(action.partition("(")[0], ()))

    def _run(self, command: Command) -> None:
        self.screen.run_worker(self._act(command), exit_on_error=False)

    async def _act(self, command: Command) -> None:
        await self.app.run_action(command.action)

    async def discover(self) -> Hits:
        for command in self._commands():
            yield DiscoveryHit(command.name, lambda command=command: self._run(command), help=command.help)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for command in self._commands():
            score = matcher.match(f"{command.name} {command.help}")
            if score > 0:
                yield Hit(
                    score,
                    matcher.highlight(command.name),
                    lambda command=command: self._run(command),
                    help=command.help,
                )
