//! The decision on a question: what is said at once, and what has to be looked up first.

use std::sync::Arc;

use banger_model::VmName;
use banger_model::network::{Allow, NetMode};
use hickory_proto::op::ResponseCode;

use crate::forward::Forward;
use crate::found::{Found, Key};
use crate::oracle::{Asked, Asker, Guest, Oracle, Refusal, Verdict};
use crate::policy::{self, Ruling};
use crate::reply::Reply;
use crate::request::Question;
use crate::sift;
use crate::zone::{self, Place};

/// Answers questions.
#[derive(Debug)]
pub(crate) struct Resolver<O> {
    pub(crate) oracle: Arc<O>,
    pub(crate) forward: Forward,
}

/// What is to be done about a question.
#[derive(Debug)]
pub(crate) enum Step {
    /// Say this.
    Reply(Reply),
    /// Look it up; these rules of the asker are about it.
    LookUp(Vec<Allow>),
}

impl<O: Oracle> Resolver<O> {
    /// Decides, without waiting.
    pub(crate) fn decide(&self, asker: &Asker, question: &Question) -> Step {
        let Asker::Guest(guest) = asker else {
            let own = self.own(question, |_| true);
            return own.map_or_else(|| Step::LookUp(Vec::new()), |own| Step::Reply(own.reply));
        };
        if guest.policy.mode == NetMode::Off {
            return Step::Reply(self.refuse(guest, question, Refusal::Off));
        }
        if let Some(own) = self.own(question, |vm| policy::may_see(guest, vm)) {
            return Step::Reply(self.noted(guest, question, own));
        }
        // Who has an address inside is no business of a VM's.
        if zone::reversed(&question.name).is_some_and(|address| self.oracle.refused().contains(address)) {
            return Step::Reply(self.noted(guest, question, Own::of(zone::absent())));
        }
        match policy::judge(&guest.policy, &question.name) {
            Ruling::Forward(rules) => Step::LookUp(rules),
            Ruling::Refuse(refusal) => Step::Reply(self.refuse(guest, question, refusal)),
            Ruling::Deny => Step::Reply(self.noted(guest, question, Own::of(zone::absent()))),
        }
    }

    /// Looks a name up.
    pub(crate) async fn look_up(&self, asker: &Asker, question: &Question, rules: Vec<Allow>) -> Reply {
        let key = Key {
            name: question.name.clone(),
            kind: question.kind,
        };
        let found = self.forward.find(&key).await;
        match (asker, found) {
            (Asker::Host, Ok(found)) => reply(found),
            (Asker::Host, Err(error)) => {
                tracing::debug!(name = %question.name, %error, "no answer for the host");
                Reply::code(ResponseCode::ServFail)
            }
            (Asker::Guest(guest), Ok(found)) => self.hand_over(guest, question, rules, found).await,
            (Asker::Guest(guest), Err(error)) => self.failed(guest, question, error.to_string()),
        }
    }

    /// Gives a VM what it may have of what was found, after the packet filter knows of it.
    async fn hand_over(&self, guest: &Guest, question: &Question, rules: Vec<Allow>, found: Found) -> Reply {
        let sifted = sift::sift(found.answers, &guest.policy, &self.oracle.refused());
        let answers = sift::answers(&rules, &sifted.public);
        if !answers.is_empty()
            && let Err(error) = self.oracle.learned(guest.slot, answers).await
        {
            return self.failed(guest, question, format!("the packet filter: {error}"));
        }
        let verdict = Verdict::Answered {
            rules,
            addresses: sifted.addresses,
            withheld: sifted.withheld,
        };
        self.oracle.asked(guest.slot, asked(question, verdict));
        reply(Found {
            answers: sifted.records,
            ..found
        })
    }

    /// What is known here: VMs, as far as they may be seen, and their addresses. One that may not be seen is answered as
    /// one that does not exist.
    fn own(&self, question: &Question, may_see: impl Fn(&VmName) -> bool) -> Option<Own> {
        let Question { name, kind, .. } = question;
        match zone::place(name) {
            Place::Apex => return Some(Own::of(zone::apex(name, *kind))),
            Place::Nowhere => return Some(Own::of(zone::absent())),
            Place::Vm(vm) if !may_see(&vm) => return Some(Own::hidden()),
            Place::Vm(vm) => {
                let addresses = self.oracle.vm(&vm);
                let reply = addresses.map_or_else(zone::absent, |all| zone::vm(name, *kind, &all));
                return Some(Own {
                    vm: Some(vm),
                    ..Own::of(reply)
                });
            }
            Place::Outside => {}
        }
        let vm = self.oracle.reverse(zone::reversed(name)?)?;
        if !may_see(&vm) {
            return Some(Own::hidden());
        }
        let reply = zone::reverse(name, *kind, &vm);
        Some(Own {
            vm: Some(vm),
            ..Own::of(reply)
        })
    }

    fn noted(&self, guest: &Guest, question: &Question, own: Own) -> Reply {
        let verdict = match own.hidden {
            true => Verdict::Refused(Refusal::Peer),
            false => Verdict::Answered {
                rules: own
                    .vm
                    .filter(|vm| *vm != guest.name)
                    .map(Allow::Vm)
                    .into_iter()
                    .collect(),
                addresses: own.reply.answers.iter().filter_map(sift::address).collect(),
                withheld: Vec::new(),
            },
        };
        self.oracle.asked(guest.slot, asked(question, verdict));
        own.reply
    }

    fn refuse(&self, guest: &Guest, question: &Question, refusal: Refusal) -> Reply {
        let verdict = Verdict::Refused(refusal);
        self.oracle.asked(guest.slot, asked(question, verdict));
        Reply::prohibited(refusal.as_str())
    }

    fn failed(&self, guest: &Guest, question: &Question, words: String) -> Reply {
        let verdict = Verdict::Failed(words);
        self.oracle.asked(guest.slot, asked(question, verdict));
        Reply::code(ResponseCode::ServFail)
    }
}

/// What is known here about a question.
#[derive(Debug)]
struct Own {
    reply: Reply,
    /// The VM that it is about.
    vm: Option<VmName>,
    /// Whether it is about one that the asker may not see.
    hidden: bool,
}

impl Own {
    const fn of(reply: Reply) -> Self {
        Self {
            reply,
            vm: None,
            hidden: false,
        }
    }

    fn hidden() -> Self {
        Self {
            hidden: true,
            ..Self::of(zone::absent())
        }
    }
}

fn reply(found: Found) -> Reply {
    Reply {
        code: found.code,
        answers: found.answers,
        authorities: found.soa.into_iter().collect(),
        ..Reply::default()
    }
}

fn asked(question: &Question, verdict: Verdict) -> Asked {
    let name = question.name.to_ascii();
    Asked {
        name: name.strip_suffix('.').unwrap_or(&name).to_owned(),
        kind: question.kind.to_string(),
        verdict,
    }
}
