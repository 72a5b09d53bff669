//! Questions at plan time: two actions.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use arrow_flight::Action;
use bytes::Bytes;
use flowc_planner::catalogue::{Description, Problem, Question, Signature};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::Purity;
use flowc_runner::{check_ports, misdescribed};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::connection::Connection;
use crate::wire::{
    Answer, AskDescribe, AskSignature, DESCRIBE, PROTOCOL, SIGNATURE, WireDescription, WireSchema, WireSignature,
};

/// How long a stage may think about a question. Importing a big library takes many seconds.
const PATIENCE: Duration = Duration::from_secs(60);

impl Connection {
    /// What a stage is. `runner` is what its environment adds to the key.
    ///
    /// # Errors
    /// What the stage itself finds wrong, or what is wrong with its answer.
    pub fn signature(
        &self,
        stage: &str,
        digest: StageDigest,
        runner: BTreeMap<String, String>,
    ) -> Result<Signature, Problem> {
        let wire: WireSignature = self.ask(SIGNATURE, &AskSignature { protocol: PROTOCOL, stage: stage.into() })?;
        if wire.protocol != PROTOCOL {
            let spoken = wire.protocol;
            return Err(misdescribed(format!(
                "it speaks version {spoken} of the protocol, and flowc version {PROTOCOL}"
            )));
        }
        check_ports(&wire.inputs, &wire.outputs)?;
        let WireSignature { doc, inputs, outputs, config_schema, chains, .. } = wire;
        Ok(Signature { digest, doc, inputs, outputs, config_schema, purity: Purity::Sandboxed, runner, chains })
    }

    /// What a stage makes of a config and of its inputs' schemas.
    ///
    /// # Errors
    /// What the stage itself finds wrong, or what is wrong with its answer.
    pub fn describe(&self, stage: &str, question: &Question) -> Result<Description, Problem> {
        let failed = |error| Problem::new(format!("the schema of an input can't be handed over: {error}"));
        let inputs = question.inputs.iter().map(|schema| WireSchema::of(schema)).collect::<Result<_, _>>();
        let (stage, config) = (stage.into(), Cow::Borrowed(&question.config));
        let ask = AskDescribe { protocol: PROTOCOL, stage, config, inputs: inputs.map_err(failed)? };
        self.ask::<WireDescription>(DESCRIBE, &ask)?.decode().map_err(misdescribed)
    }

    fn ask<T: DeserializeOwned>(&self, action: &str, body: &impl Serialize) -> Result<T, Problem> {
        let body = serde_json::to_vec(body).map_err(|error| Problem::new(error.to_string()))?;
        let answer = self.runtime.block_on(async { timeout(PATIENCE, self.act(action, body.into())).await });
        let silent = |_| Problem::new(format!("the stage gave no answer within {} seconds", PATIENCE.as_secs()));
        let body = answer.map_err(silent)?.map_err(|status| Problem::new(reason(&status)))?;
        match serde_json::from_slice(&body) {
            Ok(Answer::Good(answer)) => Ok(answer),
            Ok(Answer::Problem { problem }) => Err(problem.into()),
            Err(_) => Err(misdescribed(format!("its answer to `{action}` is not what the protocol says"))),
        }
    }

    async fn act(&self, action: &str, body: Bytes) -> Result<Bytes, tonic::Status> {
        let action = Action { r#type: action.to_owned(), body };
        let mut answers = self.client.clone().do_action(action).await?.into_inner();
        let answer = answers.message().await?;
        Ok(answer.map(|answer| answer.body).unwrap_or_default())
    }
}

/// What a failed call says.
pub(crate) fn reason(status: &tonic::Status) -> String {
    match status.message() {
        "" => format!("the call failed: {}", status.code()),
        message => message.to_owned(),
    }
}
