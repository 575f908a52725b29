//! Asking a person about a change, hunk by hunk, as `git add -p` does.

use std::io::{self, BufRead, IsTerminal, Read};

use crate::failure::Failure;
use crate::hunks::Change;
use crate::output::{Colour, Output};

/// Bytes of a line that a person answers with.
const LINE_BYTES_MAX: u64 = 1 << 10;

const HELP: &str = "\
y - take this hunk
n - leave this hunk
a - take this hunk and all that follow
q - leave this hunk and all that follow
? - show this help";

/// Whether there is a person to ask: a keyboard, and a screen that shows what is asked.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal() && io::stderr().is_terminal()
}

/// Shows each hunk and asks whether it is taken. The end of input leaves what follows.
pub(crate) fn ask(change: &Change, output: &mut Output) -> Result<Vec<bool>, Failure> {
    let mut taken = vec![false; change.len()];
    change.show_head(output)?;
    let mut number = 0;
    while number < change.len() {
        change.show_hunk(number, output)?;
        match answer(number + 1, change.len(), output)? {
            Answer::Take => taken[number] = true,
            Answer::Leave => {}
            Answer::TakeAll => {
                taken[number..].fill(true);
                // What is taken is seen.
                (number + 1..change.len()).try_for_each(|number| change.show_hunk(number, output))?;
                return Ok(taken);
            }
            Answer::LeaveAll => return Ok(taken),
        }
        number += 1;
    }
    Ok(taken)
}

enum Answer {
    Take,
    Leave,
    TakeAll,
    LeaveAll,
}

fn answer(number: usize, count: usize, output: &mut Output) -> Result<Answer, Failure> {
    // What was typed before the hunk was seen is no answer to it.
    #[cfg(unix)]
    let _ = rustix::termios::tcflush(io::stdin(), rustix::termios::QueueSelector::IFlush);
    loop {
        output.ask(Colour::Yellow, &format!("({number}/{count}) Take this hunk [y,n,a,q,?]? "));
        let mut line = String::new();
        let read = io::stdin().lock().take(LINE_BYTES_MAX).read_line(&mut line);
        let read = read.map_err(|error| Failure::system("cannot read what you answer", &error))?;
        if read == 0 {
            output.complain("");
            return Ok(Answer::LeaveAll);
        }
        match line.trim() {
            "y" => return Ok(Answer::Take),
            "n" => return Ok(Answer::Leave),
            "a" => return Ok(Answer::TakeAll),
            "q" => return Ok(Answer::LeaveAll),
            _ => output.complain(HELP),
        }
    }
}
