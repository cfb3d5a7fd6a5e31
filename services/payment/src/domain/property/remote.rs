//! A gateway in memory.

use std::collections::BTreeMap;

use events::DeclineReason;

use crate::domain::{Answer, Call, Failure, Outcome, Request};

/// The answers by key, and the state of each authorization.
#[derive(Debug, Default)]
pub(super) struct Remote {
    pub declines: bool,
    pub refuses_capture: bool,
    pub failures: u8,
    pub answers: BTreeMap<String, Outcome>,
    pub holds: BTreeMap<String, Hold>,
}

#[derive(Debug, Default)]
pub(super) struct Hold {
    pub captured: bool,
    pub voided: bool,
    pub refunds: u8,
}

impl Remote {
    pub(super) fn ask(&mut self, request: &Request) -> Outcome {
        if let Call::FindCapture(_) = request.call {
            let captured = self.answers.get(&request.key) == Some(&Ok(Answer::Captured));
            return Ok(if captured { Answer::Captured } else { Answer::NotCaptured });
        }
        if let Some(answer) = self.answers.get(&request.key) {
            return answer.clone();
        }
        let outcome = match &request.call {
            Call::Authorize { .. } => self.authorize(),
            Call::Capture(id) => Ok(self.capture(id)),
            Call::Void(id) => Ok(self.void(id)),
            Call::Refund(id) => Ok(self.refund(id)),
            Call::FindCapture(_) => unreachable!(),
        };
        self.answers.insert(request.key.clone(), outcome.clone());
        outcome
    }

    fn authorize(&mut self) -> Outcome {
        if self.failures > 0 {
            self.failures -= 1;
            return Err(Failure::Failed);
        }
        if self.declines {
            return Ok(Answer::Declined(DeclineReason::CardDeclined));
        }
        let id = format!("hold {}", self.holds.len());
        self.holds.insert(id.clone(), Hold::default());
        Ok(Answer::Authorized(id))
    }

    fn capture(&mut self, id: &str) -> Answer {
        let hold = self.holds.get_mut(id).unwrap();
        if hold.voided || self.refuses_capture {
            return Answer::CaptureRefused;
        }
        assert!(!hold.captured, "captured twice");
        hold.captured = true;
        Answer::Captured
    }

    fn void(&mut self, id: &str) -> Answer {
        let hold = self.holds.get_mut(id).unwrap();
        hold.voided = !hold.captured;
        if hold.captured { Answer::Captured } else { Answer::Voided }
    }

    fn refund(&mut self, id: &str) -> Answer {
        let hold = self.holds.get_mut(id).unwrap();
        assert!(hold.captured, "refunded without a capture");
        hold.refunds += 1;
        Answer::Refunded
    }
}
