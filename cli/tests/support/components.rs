//! Pipelines of components, of which a test says where they run.

use super::project::Project;

const PEOPLE: &str = "name,age,city\nAda,36,Rome\nBo,19,Oslo\nCy Young,,Rome\nDi,51,Bern\nEd Oslo,44,Oslo\n";
const CITIES: &str = "name,country\nRome,Italy\nOslo,Norway\nRome,Again\n";

/// Stages of all classes, each isolated so.
pub(crate) fn pipeline(isolate: &str) -> Project {
    let project = Project::new();
    project.write("people/1.csv", PEOPLE);
    project.write("people/2.csv", &PEOPLE.replace("Rome", "Bern"));
    project.write("cities.csv", CITIES);
    let text = r#"
source "people" { files "people/*.csv" }
source "cities" { files "cities.csv" }
stage "grown" { in "people"; std "filter@1"; ISOLATE; config { where { column "age"; op ">="; value 20 } } }
stage "placed" {
    in rows="grown" table="cities"
    std "lookup@1"; ISOLATE
    config { on { left "city"; right "name" }; columns "country"; mode "left"; first #true }
}
stage "named" { in "placed"; std "select@1"; ISOLATE; config { drop "age"; rename { city "place" } } }
stage "words" { in "named"; std "tokenize@1"; ISOLATE; config { column "name"; keep "place" } }
stage "counted" { in "words"; std "count@1"; ISOLATE; config { by "place" "word" } }
stage "made" { std "generate@1"; ISOLATE; config { rows 1000; rows-per-part 300; column { name "n"; kind "int"; max 9 } } }
sink "named" { in "named"; file "named.csv" }
sink "counted" { in "counted"; file "counted.csv" }
sink "made" { in "made"; file "made.csv" }
"#;
    project.write("flow.kdl", &text.replace("ISOLATE", isolate));
    project
}

/// Rows enough that whatever runs the stages is at work for a while.
pub(crate) fn rows(isolate: &str) -> Project {
    let project = Project::new();
    let columns = "column { name \"n\"; kind \"sequence\" }; column { name \"t\"; kind \"text\"; words 20 }";
    let text = format!(
        "stage \"made\" {{ std \"generate@1\"; {isolate}; config {{ rows 600000; rows-per-part 50000; {columns} }} }}
         stage \"few\" {{ in \"made\"; std \"filter@1\"; config {{ where {{ column \"n\"; op \"<\"; value 10 }} }} }}
         sink \"few\" {{ in \"few\"; file \"few.parquet\" }}"
    );
    project.write("flow.kdl", &text);
    project
}
