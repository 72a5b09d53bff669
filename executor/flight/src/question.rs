//! Questions at plan time: two actions.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use arrow_flight::{Action, Empty};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flowc_planner::catalogue::{Description, Problem, Question, Signature};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::{Limits, Purity, Serialization};
use flowc_runner::{check_ports, misdescribed};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::connection::{Connection, causes};
use crate::wire::{
    Answer, AskComponent, AskDescribe, AskSignature, COMPONENT, DESCRIBE, Held, PROTOCOL, SIGNATURE, WireDescription,
    WireSchema, WireSignature,
};

/// How long a stage may think about a question, where nobody says another time. Importing a big library takes many seconds.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of an answer: there is room for the schemas of many thousand columns.
const LONGEST_ANSWER: usize = 64 << 20;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// The connection is broken; in words.
    #[error("{0}")]
    Broken(String),
    /// There was no answer in this time. The other side may still think about it.
    #[error("the stage gave no answer within {} seconds", .0.as_secs())]
    Silent(Duration),
    /// What the stage itself finds wrong, or what is wrong with its answer.
    #[error("{}", .0.message)]
    Problem(Problem),
}

impl From<Unanswered> for Problem {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Problem(problem) => problem,
            other => Problem::new(other.to_string()),
        }
    }
}

impl From<Problem> for Unanswered {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl Connection {
    /// What a stage is, within this time. `runner` is what its environment adds to the key.
    ///
    /// # Errors
    /// What the stage itself finds wrong, or what is wrong with its answer; or that there is none.
    pub fn signature(
        &self,
        stage: &str,
        digest: StageDigest,
        runner: BTreeMap<String, String>,
        patience: Duration,
    ) -> Result<Signature, Unanswered> {
        let ask = AskSignature { protocol: PROTOCOL, stage: stage.into() };
        let wire: WireSignature = self.ask(SIGNATURE, &ask, patience)?;
        if wire.protocol != PROTOCOL {
            let spoken = wire.protocol;
            let what = format!("it speaks version {spoken} of the protocol, and flowc version {PROTOCOL}");
            return Err(misdescribed(what).into());
        }
        check_ports(&wire.inputs, &wire.outputs)?;
        let WireSignature { doc, inputs, outputs, config_schema, chains, serializations, .. } = wire;
        let is_offered = |known: &Serialization| known.is_default() || serializations.iter().any(|s| s == known.name());
        let serializations = Serialization::ALL.into_iter().filter(is_offered).collect();
        let purity = Purity::Sandboxed;
        let unenforced = None;
        Ok(Signature {
            digest,
            doc,
            inputs,
            outputs,
            config_schema,
            purity,
            runner,
            unenforced,
            chains,
            serializations,
        })
    }

    /// What a stage makes of a config and of its inputs' schemas, within this time.
    ///
    /// # Errors
    /// What the stage itself finds wrong, or what is wrong with its answer; or that there is none.
    pub fn describe(&self, stage: &str, question: &Question, patience: Duration) -> Result<Description, Unanswered> {
        let failed = |error| Problem::new(format!("the schema of an input can't be handed over: {error}"));
        let inputs = question.inputs.iter().map(|schema| WireSchema::of(schema)).collect::<Result<_, _>>();
        let (stage, config) = (stage.into(), Cow::Borrowed(&question.config));
        let ask = AskDescribe { protocol: PROTOCOL, stage, config, inputs: inputs.map_err(failed)? };
        let wire: WireDescription = self.ask(DESCRIBE, &ask, patience)?;
        Ok(wire.decode().map_err(misdescribed)?)
    }

    /// Has a program that takes components hold this one ready for invocations with such limits. `component` is asked for
    /// its bytes if the program lacks it. Gives whether it did.
    ///
    /// # Errors
    /// If the program can't be asked, or does not take it.
    pub fn hold(
        &self,
        digest: StageDigest,
        limits: &Limits,
        component: impl FnOnce() -> Result<Vec<u8>, Problem>,
    ) -> Result<bool, Unanswered> {
        let (stage, timeout_ms) = (digest.to_string(), limits.timeout_ms);
        let mut ask = AskComponent { protocol: PROTOCOL, stage: stage.into(), timeout_ms, component: None };
        if self.ask::<Held>(COMPONENT, &ask, PATIENCE)?.held {
            return Ok(false);
        }
        ask.component = Some(STANDARD.encode(component().map_err(Unanswered::Problem)?));
        match self.ask::<Held>(COMPONENT, &ask, PATIENCE)?.held {
            true => Ok(true),
            false => Err(Unanswered::Problem(misdescribed("it was sent a component, and says that it has none"))),
        }
    }

    /// Whether the other side answers at all, within this time.
    ///
    /// # Errors
    /// What keeps it from that.
    pub fn check(&self, patience: Duration) -> Result<(), String> {
        let mut client = self.client.clone();
        let listed = async { timeout(patience, client.list_actions(Empty {})).await };
        match self.runtime.block_on(listed) {
            Ok(Err(status)) if is_broken(&status) => Err(reason(&status)),
            // The protocol has no use for the list: any word will do.
            Ok(_) => Ok(()),
            Err(_) => Err(format!("no answer within {} seconds", patience.as_secs())),
        }
    }

    fn ask<T: DeserializeOwned>(
        &self,
        action: &str,
        body: &impl Serialize,
        patience: Duration,
    ) -> Result<T, Unanswered> {
        let problem = |what: String| Unanswered::Problem(Problem::new(what));
        let body = serde_json::to_vec(body).map_err(|error| problem(error.to_string()))?;
        let answer = self.runtime.block_on(async { timeout(patience, self.act(action, body.into())).await });
        let failed = |status: tonic::Status| match is_broken(&status) {
            true => Unanswered::Broken(reason(&status)),
            false => problem(reason(&status)),
        };
        let body = answer.map_err(|_| Unanswered::Silent(patience))?.map_err(failed)?;
        match serde_json::from_slice(&body) {
            Ok(Answer::Good(answer)) => Ok(answer),
            Ok(Answer::Problem { problem }) => Err(Unanswered::Problem(problem.into())),
            Err(_) => {
                let what = format!("its answer to `{action}` is not what the protocol says");
                Err(Unanswered::Problem(misdescribed(what)))
            }
        }
    }

    async fn act(&self, action: &str, body: Bytes) -> Result<Bytes, tonic::Status> {
        let action = Action { r#type: action.to_owned(), body };
        let mut client = self.client.clone().max_decoding_message_size(LONGEST_ANSWER);
        let mut answers = client.do_action(action).await?.into_inner();
        let answer = answers.message().await?;
        Ok(answer.map(|answer| answer.body).unwrap_or_default())
    }
}

/// Whether a call failed for the connection, and not because the other side said so.
pub(crate) fn is_broken(status: &tonic::Status) -> bool {
    status.source().is_some()
}

/// Whether a message was refused for its length. The library knows no other reason for this code.
pub(crate) fn is_too_large(status: &tonic::Status) -> bool {
    status.code() == tonic::Code::OutOfRange && !is_broken(status)
}

/// What a failed call says.
pub(crate) fn reason(status: &tonic::Status) -> String {
    match status.message() {
        _ if is_broken(status) => status.source().map(causes).unwrap_or_default(),
        "" => format!("the call failed: {}", status.code()),
        message => message.to_owned(),
    }
}
