//! How a terminal reads and writes, in the numbers of RFC 4254, section 8, and what Linux makes of them (termios(3)).
//!
//! Speeds, parity and bits of a character have no meaning for a pseudo-terminal; they are passed over, and so is what Linux
//! does not have.

use std::io;
use std::os::fd::AsFd;

use rustix::termios::{
    InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex as Code, Termios, tcgetattr,
    tcsetattr,
};
use serde::{Deserialize, Serialize};

/// Modes, by their numbers. Those that are missing stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Modes(pub(crate) Vec<(u8, u32)>);

/// The number of a character that does nothing.
const NONE: u32 = 255;

const CODES: &[(u8, Code)] = &[
    (1, Code::VINTR),
    (2, Code::VQUIT),
    (3, Code::VERASE),
    (4, Code::VKILL),
    (5, Code::VEOF),
    (6, Code::VEOL),
    (7, Code::VEOL2),
    (8, Code::VSTART),
    (9, Code::VSTOP),
    (10, Code::VSUSP),
    (12, Code::VREPRINT),
    (13, Code::VWERASE),
    (14, Code::VLNEXT),
    (16, Code::VSWTC),
    (18, Code::VDISCARD),
];

const INPUT: &[(u8, InputModes)] = &[
    (30, InputModes::IGNPAR),
    (31, InputModes::PARMRK),
    (32, InputModes::INPCK),
    (33, InputModes::ISTRIP),
    (34, InputModes::INLCR),
    (35, InputModes::IGNCR),
    (36, InputModes::ICRNL),
    (37, InputModes::IUCLC),
    (38, InputModes::IXON),
    (39, InputModes::IXANY),
    (40, InputModes::IXOFF),
    (41, InputModes::IMAXBEL),
    // RFC 8160.
    (42, InputModes::IUTF8),
];

const LOCAL: &[(u8, LocalModes)] = &[
    (50, LocalModes::ISIG),
    (51, LocalModes::ICANON),
    (52, LocalModes::XCASE),
    (53, LocalModes::ECHO),
    (54, LocalModes::ECHOE),
    (55, LocalModes::ECHOK),
    (56, LocalModes::ECHONL),
    (57, LocalModes::NOFLSH),
    (58, LocalModes::TOSTOP),
    (59, LocalModes::IEXTEN),
    (60, LocalModes::ECHOCTL),
    (61, LocalModes::ECHOKE),
    (62, LocalModes::PENDIN),
];

const OUTPUT: &[(u8, OutputModes)] = &[
    (70, OutputModes::OPOST),
    (71, OutputModes::OLCUC),
    (72, OutputModes::ONLCR),
    (73, OutputModes::OCRNL),
    (74, OutputModes::ONOCR),
    (75, OutputModes::ONLRET),
];

impl Modes {
    /// Gives a terminal these modes. Its either end will do.
    pub(crate) fn apply(&self, terminal: impl AsFd) -> io::Result<()> {
        let mut termios = tcgetattr(&terminal)?;
        self.change(&mut termios);
        Ok(tcsetattr(&terminal, OptionalActions::Now, &termios)?)
    }

    fn change(&self, termios: &mut Termios) {
        for &(number, value) in &self.0 {
            let on = value != 0;
            if let Some(code) = known(CODES, number) {
                // What no byte holds is no character.
                let byte = if value == NONE { Ok(0) } else { u8::try_from(value) };
                termios.special_codes[code] = byte.unwrap_or(termios.special_codes[code]);
            } else if let Some(mode) = known(INPUT, number) {
                termios.input_modes.set(mode, on);
            } else if let Some(mode) = known(LOCAL, number) {
                termios.local_modes.set(mode, on);
            } else if let Some(mode) = known(OUTPUT, number) {
                termios.output_modes.set(mode, on);
            }
        }
    }
}

fn known<T: Copy>(table: &[(u8, T)], number: u8) -> Option<T> {
    let found = table.iter().find(|&&(known, _)| known == number);
    found.map(|&(_, mode)| mode)
}

#[cfg(test)]
mod tests {
    use rustix::pty::{OpenptFlags, openpt};

    use super::*;

    /// What a terminal is like after these.
    fn after(modes: &[(u8, u32)]) -> Termios {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        Modes(modes.to_vec()).apply(&terminal).unwrap();
        tcgetattr(&terminal).unwrap()
    }

    #[test]
    fn a_terminal_is_as_its_client_wants_it() {
        let termios = after(&[
            (3, 8),
            (1, 255),
            (42, 1),
            (36, 0),
            (51, 0),
            (53, 0),
            (50, 1),
            (72, 0),
            (70, 1),
        ]);
        assert_eq!(termios.special_codes[Code::VERASE], 8);
        assert_eq!(termios.special_codes[Code::VINTR], 0, "it interrupts no more");
        assert!(termios.input_modes.contains(InputModes::IUTF8));
        assert!(!termios.input_modes.contains(InputModes::ICRNL));
        assert!(
            !termios
                .local_modes
                .intersects(LocalModes::ICANON | LocalModes::ECHO)
        );
        assert!(termios.local_modes.contains(LocalModes::ISIG));
        assert!(!termios.output_modes.contains(OutputModes::ONLCR));
        assert!(termios.output_modes.contains(OutputModes::OPOST));
    }

    #[test]
    fn what_is_unknown_or_not_said_changes_nothing() {
        let usual = after(&[]);
        // Speeds, a status character that Linux lacks, eight bits, a character that is none.
        let other = after(&[
            (128, 9600),
            (129, 9600),
            (17, 20),
            (91, 0),
            (90, 1),
            (3, 1000),
            (255, 1),
            (0, 1),
        ]);
        assert_eq!(
            other.special_codes[Code::VERASE],
            usual.special_codes[Code::VERASE]
        );
        assert_eq!(other.control_modes, usual.control_modes);
        assert_eq!(other.input_modes, usual.input_modes);
        assert_eq!(other.local_modes, usual.local_modes);
        assert_eq!(other.output_speed(), usual.output_speed());
    }
}
