//! Encrypted connections to a broker, and logins that need them.

use super::{Project, TestTopic, bids, broker, failure, pipeline, plain, prices};

/// The node that trusts the certificate of the broker.
fn tls() -> String {
    format!("tls ca=\"{}\"", broker("FLOWC_KAFKA_CA"))
}

fn login(mechanism: &str) -> String {
    format!("sasl \"{mechanism}\" user=\"flowc\" {{ secret \"KAFKA_PASSWORD\" }}")
}

/// A project that knows a password, and a topic of four records.
fn set_up(password: &str) -> (Project, TestTopic) {
    let (mut project, topic) = (Project::new(), TestTopic::new(1));
    topic.append(0, bids(0..4));
    project.set("KAFKA_PASSWORD", password.to_owned());
    (project, topic)
}

#[test]
fn a_topic_is_read_over_an_encrypted_connection() {
    let (project, topic) = set_up("");
    pipeline(&project, &broker("FLOWC_KAFKA_TLS"), &topic.name, &tls(), "");
    assert_eq!(prices(&project), [0, 1, 2, 3]);
}

#[test]
fn a_certificate_may_lie_beside_the_pipeline() {
    let (project, topic) = set_up("");
    project.write("broker.pem", &std::fs::read_to_string(broker("FLOWC_KAFKA_CA")).unwrap());
    pipeline(&project, &broker("FLOWC_KAFKA_TLS"), &topic.name, "tls ca=\"broker.pem\"", "");
    assert_eq!(prices(&project), [0, 1, 2, 3]);
}

#[test]
fn each_mechanism_logs_in_with_and_without_encryption() {
    let (project, topic) = set_up("open-sesame");
    for (listener, tls) in [("FLOWC_KAFKA_SASL", String::new()), ("FLOWC_KAFKA_SASL_TLS", tls())] {
        for mechanism in ["plain", "scram-sha-256", "scram-sha-512"] {
            let connection = format!("{}; {tls}", login(mechanism));
            pipeline(&project, &broker(listener), &topic.name, &connection, "");
            // What is kept of the topic is not asked for.
            project.shell("rm -rf .flowc \"$HOME\"; mkdir \"$HOME\"");
            assert_eq!(prices(&project), [0, 1, 2, 3], "{listener} {mechanism}");
        }
    }
}

#[test]
fn records_are_appended_over_an_encrypted_connection() {
    let (project, topic) = set_up("open-sesame");
    project.write("in.csv", "n\n1\n2\n");
    project.write(
        "flow.kdl",
        &format!(
            "source \"rows\" {{ files \"in.csv\" }}
             sink \"out\" {{
                 in \"rows\"
                 kafka \"{}\" topic=\"{}\" {{ {}; {} }}
                 format \"json\"
             }}\n",
            broker("FLOWC_KAFKA_SASL_TLS"),
            topic.name,
            login("scram-sha-512"),
            tls()
        ),
    );
    let said = project.shell("flowc run");
    assert!(said.starts_with("exit 0"), "{said}");
    let written: Vec<_> = topic.records().into_iter().skip(4).map(|record| record.value.unwrap()).collect();
    assert_eq!(written, ["{\"n\":1}", "{\"n\":2}"]);
}

#[test]
fn what_is_wrong_with_a_connection_is_told_at_its_place() {
    let (project, topic) = set_up("wrong");
    let told = |listener: &str, connection: &str, expected: &str| {
        pipeline(&project, listener, &topic.name, connection, "");
        let said = failure(&project, "flowc run");
        assert!(said.contains(expected), "{expected}\n{said}");
        assert!(said.contains("named in flow.kdl:2"), "{said}");
        assert!(!said.contains("wrong"), "the password is told: {said}");
    };
    let (encrypted, both) = (broker("FLOWC_KAFKA_TLS"), broker("FLOWC_KAFKA_SASL_TLS"));
    // Nobody that the system trusts has signed the broker's certificate.
    told(&encrypted, "tls", "`ca` of `tls` names the authority of its certificate");
    told(&encrypted, "tls ca=\"nowhere.pem\"", "nowhere.pem");
    project.write("not.pem", "what is no certificate");
    told(&encrypted, "tls ca=\"not.pem\"", "not.pem");
    told(&encrypted.replace("127.0.0.1", "127.0.0.2"), &tls(), "is not for 127.0.0.2");
    told(&plain(), &tls(), "check that the broker's listener is encrypted");
    for mechanism in ["plain", "scram-sha-256", "scram-sha-512"] {
        told(&both, &format!("{}; {}", login(mechanism), tls()), "the broker refuses the login");
    }
    told(&both, &tls(), "say `sasl`");
}
