//! What a client asks for: a table, a statement, or what the server has and can do.

use arrow_flight::flight_descriptor::DescriptorType;
use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, Any, Command, ProstMessageExt as _, TicketStatementQuery,
};
use arrow_flight::{FlightDescriptor, Ticket};
use prost::Message as _;
use serde::{Deserialize, Serialize};

use crate::results::Refusal;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ask {
    /// The rows of a table, by its name.
    Table(String),
    /// What a statement gives, over the tables of a run; of the last one where none is named.
    Statement(StatementTicket),
    /// Something about tables and the server.
    Metadata(Box<Command>),
}

/// A statement over the tables of one run: what clients hold between asking what it gives and asking for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StatementTicket {
    /// [`crate::Snapshot::id`].
    pub(crate) run: Option<u64>,
    pub(crate) statement: String,
}

impl Ask {
    /// What it is in the log.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Table(name) => name.clone(),
            Self::Statement(StatementTicket { statement, .. }) => statement.clone(),
            Self::Metadata(_) => "metadata".to_owned(),
        }
    }

    /// What a descriptor asks for: the path or the command is the name of a table, or a command of Flight SQL.
    ///
    /// # Errors
    /// If it asks for what is not offered.
    pub(crate) fn of_descriptor(descriptor: &FlightDescriptor) -> Result<Self, Refusal> {
        match descriptor.r#type() {
            DescriptorType::Path => match descriptor.path.as_slice() {
                [name] => Ok(Self::Table(name.clone())),
                _ => Err(Refusal::Invalid("a path has one part, the name of a table".to_owned())),
            },
            DescriptorType::Cmd => Self::of_bytes(&descriptor.cmd),
            DescriptorType::Unknown => Err(Refusal::Invalid("a descriptor is a path or a command".to_owned())),
        }
    }

    /// What a ticket asks for: it is the name of a table, or a command of Flight SQL.
    ///
    /// # Errors
    /// If it asks for what is not offered.
    pub(crate) fn of_ticket(ticket: &Ticket) -> Result<Self, Refusal> {
        Self::of_bytes(&ticket.ticket)
    }

    fn of_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        let Some(command) = command(bytes) else {
            let name = std::str::from_utf8(bytes).map_err(|_| Refusal::Invalid("it names no table".to_owned()))?;
            return Ok(Self::Table(name.to_owned()));
        };
        match command {
            Command::CommandStatementQuery(query) => {
                Ok(Self::Statement(StatementTicket { run: None, statement: query.query }))
            }
            Command::CommandPreparedStatementQuery(query) => {
                StatementTicket::read(&query.prepared_statement_handle).map(Self::Statement)
            }
            Command::TicketStatementQuery(ticket) => {
                StatementTicket::read(&ticket.statement_handle).map(Self::Statement)
            }
            Command::CommandGetCatalogs(_)
            | Command::CommandGetDbSchemas(_)
            | Command::CommandGetTables(_)
            | Command::CommandGetTableTypes(_)
            | Command::CommandGetSqlInfo(_)
            | Command::CommandGetXdbcTypeInfo(_)
            | Command::CommandGetPrimaryKeys(_)
            | Command::CommandGetExportedKeys(_)
            | Command::CommandGetImportedKeys(_)
            | Command::CommandGetCrossReference(_) => Ok(Self::Metadata(Box::new(command))),
            other => Err(unoffered(&other)),
        }
    }
}

/// The command of Flight SQL that bytes are, if they are one.
fn command(bytes: &[u8]) -> Option<Command> {
    let any = Any::decode(bytes).ok().filter(|any| any.type_url.starts_with("type.googleapis.com/"))?;
    Command::try_from(any).ok()
}

/// Why something can't be put.
pub(crate) fn refusal_to_take(descriptor: &FlightDescriptor) -> Refusal {
    match command(&descriptor.cmd) {
        Some(Command::CommandPreparedStatementQuery(_)) => Refusal::Invalid(
            "statements with parameters are not offered: write the values into the statement".to_owned(),
        ),
        Some(other) => unoffered(&other),
        None => Refusal::Invalid(READ_ONLY.to_owned()),
    }
}

pub(crate) const READ_ONLY: &str = "results can be read, not written: a pipeline writes them";

fn unoffered(command: &Command) -> Refusal {
    let message = match command {
        Command::CommandStatementUpdate(_)
        | Command::CommandPreparedStatementUpdate(_)
        | Command::CommandStatementIngest(_) => READ_ONLY.to_owned(),
        Command::CommandStatementSubstraitPlan(_) => {
            "plans of Substrait are not offered: send a SELECT statement".to_owned()
        }
        _ => "this server does not offer that".to_owned(),
    };
    Refusal::Invalid(message)
}

impl StatementTicket {
    fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        let foreign = |_| Refusal::Invalid("the handle of the statement is none of this server's".to_owned());
        serde_json::from_slice(bytes).map_err(foreign)
    }

    /// As a prepared statement, whose answers are those of the last run when it is executed.
    ///
    /// # Errors
    /// If the request is no such request.
    pub(crate) fn prepare(body: &[u8]) -> Result<Self, Refusal> {
        let request = Any::decode(body).ok().and_then(|any| any.unpack::<ActionCreatePreparedStatementRequest>().ok());
        let request = request.flatten().ok_or_else(|| Refusal::Invalid("no statement is to be prepared".to_owned()))?;
        Ok(Self { run: None, statement: request.query })
    }

    pub(crate) fn handle(&self) -> Vec<u8> {
        // Of a number and a text.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// As the ticket of an answer.
    pub(crate) fn ticket(&self) -> Ticket {
        let ticket = TicketStatementQuery { statement_handle: self.handle().into() };
        Ticket::new(ticket.as_any().encode_to_vec())
    }
}

#[cfg(test)]
mod tests {
    use arrow_flight::sql::{CommandPreparedStatementQuery, CommandStatementQuery, CommandStatementUpdate};

    use super::*;

    #[test]
    fn tables_go_by_their_names_and_statements_by_commands() {
        let table = Ask::Table("words".to_owned());
        assert_eq!(Ask::of_descriptor(&FlightDescriptor::new_path(vec!["words".to_owned()])), Ok(table.clone()));
        assert_eq!(Ask::of_descriptor(&FlightDescriptor::new_cmd("words")), Ok(table.clone()));
        assert_eq!(Ask::of_ticket(&Ticket::new("words")), Ok(table));
        let query = CommandStatementQuery { query: "SELECT 1".to_owned(), transaction_id: None };
        let statement = StatementTicket { run: None, statement: "SELECT 1".to_owned() };
        let command = query.as_any().encode_to_vec();
        assert_eq!(Ask::of_descriptor(&FlightDescriptor::new_cmd(command)), Ok(Ask::Statement(statement.clone())));
        let planned = StatementTicket { run: Some(u64::MAX), ..statement };
        assert_eq!(Ask::of_ticket(&planned.ticket()), Ok(Ask::Statement(planned.clone())));
        let prepared = CommandPreparedStatementQuery { prepared_statement_handle: planned.handle().into() };
        let command = prepared.as_any().encode_to_vec();
        assert_eq!(Ask::of_descriptor(&FlightDescriptor::new_cmd(command)), Ok(Ask::Statement(planned)));
    }

    #[test]
    fn what_is_not_offered_is_said() {
        let update = CommandStatementUpdate { query: "DELETE FROM words".to_owned(), transaction_id: None };
        let update = FlightDescriptor::new_cmd(update.as_any().encode_to_vec());
        assert!(Ask::of_descriptor(&update).unwrap_err().to_string().contains("not written"));
        assert!(refusal_to_take(&update).to_string().contains("not written"));
        let bound = CommandPreparedStatementQuery { prepared_statement_handle: Vec::new().into() };
        let bound = FlightDescriptor::new_cmd(bound.as_any().encode_to_vec());
        assert!(refusal_to_take(&bound).to_string().contains("parameters"));
        assert!(Ask::of_descriptor(&bound).is_err());
        assert!(Ask::of_descriptor(&FlightDescriptor::new_path(Vec::new())).is_err());
        assert!(Ask::of_ticket(&Ticket::new(vec![0xff, 0xfe])).is_err());
    }
}
