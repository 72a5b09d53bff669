//! `flight "grpc://host:8815" ticket="words" { secret "TOKEN"; tls ca="ca.pem"; ttl "1h" }`.

use crate::diagnostic::{PlaceProblem, Problems, ShapeProblem};
use crate::plan::{FlightAsk, FlightSource};
use crate::read::form::{self, Children, Form, Takes};
use crate::read::{kafka, keep, secret};
use crate::syntax::{Arg, Node};

const EXAMPLE: &str = "flight \"grpc://host:8815\" ticket=\"words\"";
/// What a server may be asked for.
const ASKS: [&str; 4] = ["ticket", "path", "command", "sql"];
const FORM: Form =
    Form { takes: Takes::One(EXAMPLE), props: &ASKS, children: Children::Once(&["secret", "tls", "ttl", "pin"]) };

/// Reads the node; none if something in it is wrong.
pub(super) fn read(node: &Node, problems: &mut Problems) -> Option<FlightSource> {
    let before = problems.len();
    FORM.check(node, "`flight`", problems);
    let server = node.args.first().and_then(|arg| server(arg, problems));
    let ask = ask(node, problems);
    let token = node.child("secret").and_then(|child| secret::read(child, problems));
    let tls = node.child("tls").map(|child| (child, kafka::tls(child, problems)));
    let keep = keep::read(node, problems);
    let (server, ask) = (server?.to_owned(), ask?);
    if let (Some((child, _)), true) = (&tls, server.starts_with("grpc://")) {
        let reason = "the address begins with grpc:// ; grpc+tls:// is secured";
        problems.at(child.place, PlaceProblem::NotForFlight { node: "tls", reason });
    }
    let ca = tls.and_then(|(_, tls)| tls.ca);
    (problems.len() == before).then_some(FlightSource { server, ask, token, ca, keep })
}

fn server<'a>(arg: &'a Arg, problems: &mut Problems) -> Option<&'a str> {
    const HELP: &str = "name a host and its port: \"grpc://host:8815\", or \"grpc+tls://host:8815\"";
    let text = form::string("flight", arg, problems)?;
    let Some((scheme, rest)) = form::address(text) else {
        form::bad_value("server", arg, HELP, problems);
        return None;
    };
    if !matches!(scheme, "grpc" | "grpc+tls") {
        let help = match scheme {
            "grpc+tcp" | "http" => format!("write \"grpc://{rest}\""),
            "https" | "grpcs" => format!("write \"grpc+tls://{rest}\""),
            _ => HELP.to_owned(),
        };
        problems.at(arg.place, PlaceProblem::Scheme { scheme: scheme.to_owned(), help });
        return None;
    }
    let port = rest.rsplit_once(':').filter(|(host, _)| !host.is_empty() && !host.contains(['/', '?', '#', ' ']));
    if rest.contains('@') {
        form::bad_value("server", arg, "credentials do not belong into the text: secret \"TOKEN\"", problems);
        None
    } else if port.and_then(|(_, port)| port.parse::<u16>().ok()).is_none_or(|port| port == 0) {
        form::bad_value("server", arg, HELP, problems);
        None
    } else {
        Some(text)
    }
}

/// What the server is asked for: one of the properties.
fn ask(node: &Node, problems: &mut Problems) -> Option<FlightAsk> {
    let mut asked = ASKS.iter().filter_map(|name| Some((*name, node.prop(name)?)));
    let Some((name, arg)) = asked.next() else {
        let needs = "one of the properties ticket=, path=, command= and sql=".to_owned();
        problems.at(node.place, ShapeProblem::MissingArgument { node: node.name.clone(), needs, example: EXAMPLE });
        return None;
    };
    if let Some((other, second)) = asked.next() {
        let problem = PlaceProblem::NotForFlight { node: other, reason: "a server is asked for one thing" };
        problems.with(second.place, problem, arg.place, "this is asked for");
        return None;
    }
    let text = form::string(name, arg, problems)?;
    if text.trim().is_empty() {
        form::bad_value("request", arg, "say what the server is asked for", problems);
        return None;
    }
    Some(match name {
        "ticket" => FlightAsk::Ticket(text.to_owned()),
        "path" => FlightAsk::Path(text.split('/').map(str::to_owned).collect()),
        "command" => FlightAsk::Command(text.to_owned()),
        _ => FlightAsk::Sql(text.to_owned()),
    })
}
