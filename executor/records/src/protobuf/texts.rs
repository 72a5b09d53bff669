//! Descriptors of `.proto` texts.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use flowc_platform::lock;
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

/// Files, and BLAKE3 of what they held.
type FilesRead = Vec<(PathBuf, [u8; 32])>;

/// What `.proto` texts say.
#[derive(Debug)]
pub struct CompiledTexts {
    /// A `FileDescriptorSet`, with all that is imported. Comments change nothing of it.
    pub descriptors: Vec<u8>,
    /// The files that were read, and BLAKE3 of what they held.
    pub read: FilesRead,
}

/// Compiles a `.proto` file. What it imports is looked for from the folder that it is in; the types of `google/protobuf` are there in any case.
///
/// # Errors
/// The first thing that is wrong with a text, with its file, line and column.
pub fn compile_texts(file: &Path) -> Result<CompiledTexts, String> {
    let name = file.file_name().and_then(|name| name.to_str()).ok_or("its name is no text")?;
    let folder = file.parent().unwrap_or(Path::new("")).to_owned();
    let read = Arc::<Mutex<FilesRead>>::default();
    let mut resolver = ChainFileResolver::new();
    resolver.add(Folder { folder, read: Arc::clone(&read) });
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).include_source_info(false);
    // Its debug form has the place.
    compiler.open_file(name).map_err(|error| format!("{error:?}"))?;
    Ok(CompiledTexts { descriptors: compiler.encode_file_descriptor_set(), read: std::mem::take(&mut lock(&read)) })
}

/// A folder of texts. What is read of it is noted.
struct Folder {
    folder: PathBuf,
    read: Arc<Mutex<FilesRead>>,
}

impl FileResolver for Folder {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let path = self.folder.join(name);
        let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => protox::Error::file_not_found(name),
            _ => protox::Error::new(error),
        })?;
        lock(&self.read).push((path, *blake3::hash(text.as_bytes()).as_bytes()));
        File::from_source(name, &text)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use flowc_planner::plan::ProtobufFormat;

    use super::super::columns::columns;
    use super::*;

    const BID: &str = "syntax = \"proto3\"; package shop; import \"parts/money.proto\"; import \"google/protobuf/timestamp.proto\";\n\
        // A bid.\nmessage Bid { int64 auction = 1; Money price = 2; google.protobuf.Timestamp at = 3; }\n";
    const MONEY: &str = "syntax = \"proto3\"; package shop; message Money { string currency = 1; sint64 cents = 2; }\n";

    fn folder(bid: &str, money: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("parts")).unwrap();
        std::fs::write(folder.path().join("bid.proto"), bid).unwrap();
        std::fs::write(folder.path().join("parts/money.proto"), money).unwrap();
        folder
    }

    fn compiled(bid: &str, money: &str) -> Result<CompiledTexts, String> {
        compile_texts(&folder(bid, money).path().join("bid.proto"))
    }

    #[test]
    fn texts_have_the_columns_of_their_message_and_of_what_they_import() {
        let CompiledTexts { descriptors, read } = compiled(BID, MONEY).unwrap();
        let format = ProtobufFormat {
            descriptors: STANDARD.encode(&descriptors),
            message: "shop.Bid".to_owned(),
            registry: None,
        };
        let columns = columns(&format).unwrap();
        let told: Vec<String> =
            columns.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect();
        assert_eq!(told[0], "auction Int64");
        assert!(told[1].starts_with("price Struct(") && told[1].contains("cents"), "{told:?}");
        assert!(told[2].starts_with("at Timestamp(ns"), "{told:?}");
        let mut names: Vec<_> = read.iter().filter_map(|(path, _)| path.file_name()?.to_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["bid.proto", "money.proto"]);
    }

    #[test]
    fn comments_change_nothing_and_fields_do() {
        let of = |bid: &str, money: &str| compiled(bid, money).unwrap().descriptors;
        let first = of(BID, MONEY);
        assert_eq!(of(&BID.replace("// A bid.", "// Another word."), MONEY), first);
        assert_ne!(of(BID, &MONEY.replace("cents", "cent")), first);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let told = |bid: &str, money: &str| compiled(bid, money).unwrap_err();
        let said = told(&BID.replace("message Bid {", "message Bid ["), MONEY);
        assert!(said.starts_with("bid.proto:3:"), "{said}");
        let said = told(BID, &MONEY.replace("sint64", "sint63"));
        assert!(said.starts_with("parts/money.proto:1:") && said.contains("sint63"), "{said}");
        let said = told(&BID.replace("parts/money", "parts/many"), MONEY);
        assert!(said.starts_with("bid.proto:1:") && said.contains("parts/many.proto"), "{said}");
        let said = compile_texts(Path::new("/nowhere/none.proto")).unwrap_err();
        assert!(said.contains("none.proto"), "{said}");
    }
}
