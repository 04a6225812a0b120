use super::*;
use crate::dockerfile::Source;

fn known(image: &str) -> Option<BaseImage> {
    (image != "unknown").then(|| BaseImage {
        env: Vec::from(["JAVA_HOME=/java".to_string()]),
        has_shell: image == "shell",
        platform: "linux/arm64".to_string(),
    })
}

fn argument(name: &str) -> Option<String> {
    (name == "TARGETPLATFORM" || name == "BUILDPLATFORM").then(|| "linux/arm64".to_string())
}

fn report(text: &str, context: &Context<'_>) -> Report {
    let source = Source::read("Dockerfile", text.as_bytes()).unwrap();
    lint(&Dockerfile::parse(&source).unwrap(), context).unwrap()
}

/// `line Rule: message` of each.
fn found(text: &str) -> Vec<String> {
    let ignore = Patterns::parse(b"secret\n*.log").unwrap();
    let context = Context { ignore: Some(&ignore), argument: &argument, image: &known, check: None };
    let show = |one: &Finding| format!("{} {}: {}", one.first, one.rule.name, one.message);
    report(text, &context).findings.iter().map(show).collect()
}

#[test]
fn good_files_are_not_complained_of() {
    for text in [
        "ARG V=1\nFROM alpine:${V} AS base\nARG V\nENV A=$V B=${C:-x}\nRUN echo $UNKNOWN\nWORKDIR /a\nWORKDIR b\nFROM base\nENV D=$A\n",
        "from alpine as base\nrun x\nentrypoint [\"a\"]",
        "FROM --platform=$BUILDPLATFORM alpine AS x\nFROM --platform=linux/arm64 alpine AS arm64-x\n",
        "FROM unknown\nENV A=$WHO_KNOWS\n",
        "FROM shell\nCMD x\n",
        "FROM x\nSHELL [\"bash\", \"-c\"]\nCMD x\n",
        "FROM x\nENV PUBLIC_KEY=1 MONKEY=2 KEY_FILE=3 J=$JAVA_HOME P=$PATH\n",
        "FROM x\nCOPY . /a\nCOPY --from=x secret /a\nCOPY log /\nADD https://x/a.log /\n",
        "FROM x\nEXPOSE 80/tcp 81-82\n",
        "# check=skip=all\nFROM x AS Base\nMAINTAINER y\n",
        "FROM x\n# check=skip=MaintainerDeprecated\nMAINTAINER y\n",
        "FROM x\n# anything\nARG a\n",
    ] {
        let text = text.replace("C:-x", "V:-x");
        assert_eq!(found(&text), [""; 0], "{text}");
    }
}

#[test]
fn each_rule_finds_what_it_is_for() {
    for (text, expected) in [
        ("FROM x AS Base", "1 StageNameCasing: Stage name 'Base' should be lowercase"),
        ("FROM x as base", "1 FromAsCasing: 'as' and 'FROM' keywords' casing do not match"),
        ("FROM x\nRUN a \\\n\n b", "4 NoEmptyContinuation: Empty continuation line"),
        (
            "FROM x\nRun a",
            "2 ConsistentInstructionCasing: Command 'Run' should match the case of the command majority (uppercase)",
        ),
        (
            "from x\nrun a\nRUN b",
            "3 ConsistentInstructionCasing: Command 'RUN' should match the case of the command majority (lowercase)",
        ),
        (
            "FROM x AS a\nFROM x AS a",
            "2 DuplicateStageName: Duplicate stage name \"a\", stage names should be unique",
        ),
        (
            "FROM x AS context",
            "1 ReservedStageName: Stage name should not use the same name as reserved stage \"context\"",
        ),
        (
            "FROM x\nCMD a",
            "2 JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior related to OS signals",
        ),
        (
            "FROM x\nMAINTAINER y",
            "2 MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label",
        ),
        (
            "ARG VERSION=1\nFROM x:a$VERSOIN",
            "2 UndefinedArgInFrom: FROM argument 'VERSOIN' is not declared (did you mean VERSION?)",
        ),
        (
            "FROM x\nWORKDIR a",
            "2 WorkdirRelativePath: Relative workdir \"a\" can have unexpected results if the base image changes",
        ),
        (
            "FROM x\nENV A=$JAVA_HOEM",
            "2 UndefinedVar: Usage of undefined variable '$JAVA_HOEM' (did you mean $JAVA_HOME?)",
        ),
        (
            "FROM x\nCMD [\"a\"]\nCMD [\"b\"]",
            "2 MultipleInstructionsDisallowed: Multiple CMD instructions should not be used in the same stage because only the last one will be used",
        ),
        (
            "FROM x\nENV a b",
            "2 LegacyKeyValueFormat: \"ENV key=value\" should be used instead of legacy \"ENV key value\" format",
        ),
        (
            "FROM --platform=$TARGETPLATFORM x",
            "1 RedundantTargetPlatform: Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
        ),
        (
            "FROM --platform=linux/amd64 x",
            "1 FromPlatformFlagConstDisallowed: FROM --platform flag should not use constant value \"linux/amd64\"",
        ),
        (
            "FROM x\nARG GITHUB_TOKEN",
            "2 SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG \"GITHUB_TOKEN\")",
        ),
        (
            "FROM x\nENV auth=1",
            "2 SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ENV \"auth\")",
        ),
        (
            "ARG V\nFROM x:$V",
            "2 InvalidDefaultArgInFrom: Default value for ARG x:$V results in empty or invalid base image name",
        ),
        (
            "FROM x\nCOPY ./secret/a /",
            "2 CopyIgnoredFile: Attempting to Copy file \"secret/a\" that is excluded by .dockerignore",
        ),
        (
            "FROM x\nADD x.log /",
            "2 CopyIgnoredFile: Attempting to Add file \"x.log\" that is excluded by .dockerignore",
        ),
        (
            "FROM x\nEXPOSE 80/TCP",
            "2 ExposeProtoCasing: Defined protocol '80/TCP' in EXPOSE instruction should be lowercase",
        ),
        (
            "FROM x\nEXPOSE 127.0.0.1:80:80",
            "2 ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port mapping, found '127.0.0.1:80:80'",
        ),
        (
            "# check=experimental=all\nFROM x\n# hello\nARG a b",
            "4 InvalidDefinitionDescription: Comment for ARG should follow the format: `# <arg_key> <description>`",
        ),
        (
            "# check=experimental=all\n# hello\nFROM x AS a",
            "3 InvalidDefinitionDescription: Comment for FROM should follow the format: `# a <description>`",
        ),
    ] {
        assert_eq!(found(text), [expected], "{text}");
    }
}

#[test]
fn an_image_for_another_machine_is_told() {
    let argument = |name: &str| (name == "TARGETPLATFORM").then(|| "linux/amd64".to_string());
    let context = Context { argument: &argument, image: &known, ..Context::default() };
    let report = report("FROM x", &context);
    assert_eq!(
        report.findings[0].message,
        "Base image x was pulled with platform \"linux/arm64\", expected \"linux/amd64\" for current build"
    );
    assert_eq!(
        report.findings[0].to_string().lines().next(),
        Some(
            "WARNING: InvalidBaseImagePlatform - https://docs.docker.com/go/dockerfile/rule/invalid-base-image-platform/"
        )
    );
}

#[test]
fn findings_are_mistakes_if_the_file_says_so() {
    let text = "# check=error=true\nFROM x AS Base\nMAINTAINER y\nMAINTAINER z";
    assert_eq!(
        report(text, &Context::default()).error().unwrap(),
        "lint violation found for rules: MaintainerDeprecated, StageNameCasing"
    );
    let context = Context { check: Some("skip=all;error=true"), ..Context::default() };
    assert_eq!(report(text, &context).error(), None);
    assert_eq!(report("FROM x AS Base", &Context::default()).error(), None);
}
