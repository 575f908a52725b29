"""Cloister in GNAT Studio: into ~/.gnatstudio/plug-ins/.

Not tried: no GNAT Studio was at hand. It is written by its documentation.

GNAT Studio starts the language servers that it knows, and no others. This asks the program `cloister` in its stead:
Edit > Complete with Cloister fills the place of the cursor in, and the answer's record is in the Messages.
"""

import os

import GPS
from gps_utils import interactive

PROGRAM = os.environ.get("CLOISTER_PROGRAM", "cloister")
MESSAGES = "Cloister"


def insert(buffer, location, text):
    """Puts what came into the buffer, as one step to undo."""
    with buffer.new_undo_group():
        buffer.insert(location, text)


@interactive(
    name="Complete with Cloister",
    category="Editor",
    filter="Source editor",
    menu="/Edit/Complete with Cloister",
    key="control-alt-space",
)
def complete():
    """Fills the place of the cursor in."""
    buffer = GPS.EditorBuffer.get()
    location = buffer.current_view().cursor()
    buffer.save(interactive=False)
    place = "%s:%d:%d" % (buffer.file().path, location.line(), location.column())
    process = GPS.Process([PROGRAM, "complete", place])
    text = process.get_result()
    if process.wait() != 0:
        GPS.Console(MESSAGES).write(text)
        return
    insert(buffer, location, text)
