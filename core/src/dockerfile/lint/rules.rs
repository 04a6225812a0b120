//! The rules: names, what they are about, where the reader finds more.

use alloc::string::String;

/// What a file should or should not do.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// As `skip=` and `experimental=` name it.
    pub name: &'static str,
    /// What it wants.
    pub description: &'static str,
    /// It is only checked if the file asks for it.
    pub is_experimental: bool,
}

impl Rule {
    /// Where it is explained.
    pub fn url(&self) -> String {
        let mut url = String::from("https://docs.docker.com/go/dockerfile/rule/");
        let letters = self.name.as_bytes();
        for (at, letter) in letters.iter().enumerate() {
            let next_is_lower = letters.get(at + 1).is_some_and(u8::is_ascii_lowercase);
            let begins = at > 0
                && letter.is_ascii_uppercase()
                && (next_is_lower || letters[at - 1].is_ascii_lowercase());
            if begins {
                url.push('-');
            }
            url.push(letter.to_ascii_lowercase().into());
        }
        url.push('/');
        url
    }
}

/// A constant and its rule, for each of them, and the list of all.
macro_rules! rules {
    ($($constant:ident $name:literal $experimental:literal $description:literal)*) => {
        $(pub(super) const $constant: &Rule =
            &Rule { name: $name, description: $description, is_experimental: $experimental };)*
        /// All rules.
        pub const RULES: &[&Rule] = &[$($constant),*];
    };
}

rules! {
    STAGE_NAME_CASING "StageNameCasing" false
        "Stage names should be lowercase"
    FROM_AS_CASING "FromAsCasing" false
        "The 'as' keyword should match the case of the 'from' keyword"
    NO_EMPTY_CONTINUATION "NoEmptyContinuation" false
        "Empty continuation lines will become errors in a future release"
    CONSISTENT_INSTRUCTION_CASING "ConsistentInstructionCasing" false
        "All commands within the Dockerfile should use the same casing (either upper or lower)"
    DUPLICATE_STAGE_NAME "DuplicateStageName" false
        "Stage names should be unique"
    RESERVED_STAGE_NAME "ReservedStageName" false
        "Reserved words should not be used as stage names"
    JSON_ARGS_RECOMMENDED "JSONArgsRecommended" false
        "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals"
    MAINTAINER_DEPRECATED "MaintainerDeprecated" false
        "The MAINTAINER instruction is deprecated, use a label instead to define an image author"
    UNDEFINED_ARG_IN_FROM "UndefinedArgInFrom" false
        "FROM command must use declared ARGs"
    WORKDIR_RELATIVE_PATH "WorkdirRelativePath" false
        "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes"
    UNDEFINED_VAR "UndefinedVar" false
        "Variables should be defined before their use"
    MULTIPLE_INSTRUCTIONS_DISALLOWED "MultipleInstructionsDisallowed" false
        "Multiple instructions of the same type should not be used in the same stage"
    LEGACY_KEY_VALUE_FORMAT "LegacyKeyValueFormat" false
        "Legacy key/value format with whitespace separator should not be used"
    INVALID_BASE_IMAGE_PLATFORM "InvalidBaseImagePlatform" false
        "Base image platform does not match expected target platform"
    REDUNDANT_TARGET_PLATFORM "RedundantTargetPlatform" false
        "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior"
    SECRETS_USED_IN_ARG_OR_ENV "SecretsUsedInArgOrEnv" false
        "Sensitive data should not be used in the ARG or ENV commands"
    INVALID_DEFAULT_ARG_IN_FROM "InvalidDefaultArgInFrom" false
        "Default value for global ARG results in an empty or invalid base image name"
    FROM_PLATFORM_FLAG_CONST_DISALLOWED "FromPlatformFlagConstDisallowed" false
        "FROM --platform flag should not use a constant value"
    COPY_IGNORED_FILE "CopyIgnoredFile" false
        "Attempting to Copy file that is excluded by .dockerignore"
    INVALID_DEFINITION_DESCRIPTION "InvalidDefinitionDescription" true
        "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment."
    EXPOSE_PROTO_CASING "ExposeProtoCasing" false
        "Protocol in EXPOSE instruction should be lowercase"
    EXPOSE_INVALID_FORMAT "ExposeInvalidFormat" false
        "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rules_page_is_named_like_it() {
        let page = |rule: &Rule| {
            String::from(rule.url().trim_start_matches("https://docs.docker.com/go/dockerfile/rule/"))
        };
        assert_eq!(page(JSON_ARGS_RECOMMENDED), "json-args-recommended/");
        assert_eq!(page(UNDEFINED_ARG_IN_FROM), "undefined-arg-in-from/");
        assert_eq!(page(NO_EMPTY_CONTINUATION), "no-empty-continuation/");
        assert_eq!(RULES.len(), 22);
    }
}
