//! `scoring.toml`: by which criteria units are scored.

use std::path::Path;

use nqsync_core::scoring::Criteria;

/// What holds where there is no file: the sample, as it is delivered.
const SAMPLE: &str = include_str!("../../config/scoring.toml");

/// Reads the file; where there is none, the sample.
///
/// # Errors
/// What is wrong with it, with the line or the criterion.
pub fn criteria(file: Option<&Path>) -> Result<Criteria, String> {
    let found = match file.map(|path| (path, std::fs::read_to_string(path))) {
        None => None,
        Some((_, Ok(text))) => Some(text),
        Some((_, Err(error))) if error.kind() == std::io::ErrorKind::NotFound => None,
        Some((path, Err(error))) => return Err(format!("{}: {error}", path.display())),
    };
    let text = found.as_deref().unwrap_or(SAMPLE);
    let criteria: Criteria = toml::from_str(text).map_err(|error| {
        let line = error
            .span()
            .map(|span| text[..span.start].matches('\n').count() + 1);
        let line = line.map_or_else(String::new, |line| format!("line {line}: "));
        format!("scoring.toml: {line}{}", error.message())
    })?;
    criteria
        .check()
        .map_err(|unfit| format!("scoring.toml: {unfit}"))?;
    Ok(criteria)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_holds_where_there_is_no_file_and_mistakes_are_told_with_their_place() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("scoring.toml");
        let sample = criteria(None).unwrap();
        assert_eq!(criteria(Some(&file)), Ok(sample.clone()));
        let weights: u32 = sample.criteria.iter().map(|one| one.weight).sum();
        assert_eq!(weights, 100);
        let wrong = |from: &str, to: &str| {
            assert!(SAMPLE.contains(from));
            std::fs::write(&file, SAMPLE.replacen(from, to, 1)).unwrap();
            criteria(Some(&file)).unwrap_err()
        };
        let found = wrong("\"tasks_on_time\"", "\"tasks_in_time\"");
        assert!(found.starts_with("scoring.toml: line "), "{found}");
        let found = wrong("weight = 40", "weight = 0");
        assert_eq!(
            found,
            "scoring.toml: criterion \"1\": weight must be from 1 to 10000"
        );
    }
}
