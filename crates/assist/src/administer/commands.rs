//! What each command is called, and which action of a policy it is.

use identity::Verb;
use protocol::admin::Command;

use super::records::QUERY;

/// As it is called on the command line, in policies and in the ledger.
pub(super) fn name_of(command: &Command) -> &'static str {
    match command {
        Command::UserAdd { .. } => "user add",
        Command::UserGroups { .. } => "user groups",
        Command::UserRoles { .. } => "user set-roles",
        Command::UserDisable { .. } => "user disable",
        Command::UserLabels { .. } => "user labels",
        Command::UserList => "user list",
        Command::SourceChange { .. } => "repo add",
        Command::CorpusChange { .. } => "corpus build",
        Command::CorpusReload => "corpus reload",
        Command::CorpusStates => "corpus list",
        Command::SourceReload => "repo reload",
        Command::SourceSynchronise { .. } => "repo sync",
        Command::SourceStates | Command::SourceLeftOut { .. } | Command::SourceSuspicious { .. } => {
            "repo status"
        }
        Command::TokenIssue { .. } => "token issue",
        Command::TokenRevoke { .. } => "token revoke",
        Command::TokenList => "token list",
        Command::LedgerList { .. } => "ledger list",
        Command::LedgerShow { .. } => "ledger show",
        Command::Replay { .. } => "replay",
        Command::Status => "status",
        Command::AirgapVerify => "airgap verify",
        Command::WitnessExport { .. } => "ledger witness export",
        Command::WitnessImport { .. } => "ledger witness import",
        Command::WitnessAdd { .. } => "ledger witness add",
        Command::LedgerEvidence { .. } => "ledger evidence",
        Command::UserEnrolKey { .. } => ledger::ENROL_KEY,
        Command::UserRevokeKey { .. } => ledger::REVOKE_KEY,
        Command::UserKeys => "user keys",
        Command::ModelStep { .. } => "model step",
        Command::ModelText { .. } => "model request",
        Command::ModelStates => "model list",
        Command::Reload => "model deploy",
        Command::ModelTrust { .. } => "model trust",
        Command::EraseRequest { .. } => "ledger erase-request",
        Command::Erase { .. } => "ledger erase",
        Command::LedgerBackup { .. } => "ledger backup",
        Command::PolicyShow | Command::PolicyReload => "policy show",
        Command::PolicyText { .. } => "policy request",
        Command::PolicySet { .. } => "policy set",
        Command::PolicyExplain { .. } => "policy explain",
        Command::PolicyIntents { .. } => "policy diff",
        Command::Spill { .. } => "spill",
        Command::LedgerQuery { .. } => QUERY,
        Command::LedgerExport { .. } => "ledger export",
        Command::LedgerSlice { .. } | Command::LedgerSliceChunk { .. } => lineage::slice::ACTION,
    }
}

/// Which action it is.
pub(super) fn verb_of(command: &Command) -> Verb {
    match command {
        Command::UserList
        | Command::UserKeys
        | Command::TokenList
        | Command::Status
        | Command::AirgapVerify
        | Command::CorpusStates
        | Command::SourceStates
        | Command::SourceLeftOut { .. }
        | Command::SourceSuspicious { .. }
        | Command::ModelText { .. }
        | Command::ModelStates
        | Command::WitnessExport { .. }
        | Command::PolicyShow
        | Command::PolicyText { .. }
        // It takes what two persons approved, or nothing.
        | Command::PolicyReload
        | Command::PolicyExplain { .. } => Verb::Inspect,
        // Of the bodies of records, the records' own decisions say.
        Command::LedgerList { .. }
        | Command::LedgerShow { .. }
        | Command::LedgerQuery { .. }
        | Command::Replay { .. }
        | Command::PolicyIntents { .. } => Verb::QueryLedger,
        Command::LedgerExport { .. }
        | Command::LedgerEvidence { .. }
        | Command::LedgerSlice { .. }
        | Command::LedgerSliceChunk { .. } => Verb::Export,
        Command::ModelStep { step, .. } if matches!(step.step.as_str(), "deployed" | "retired") => Verb::Deploy,
        Command::Reload => Verb::Deploy,
        Command::ModelStep { .. } | Command::ModelTrust { .. } => Verb::AdmitModel,
        Command::PolicySet { .. } => Verb::ChangePolicy,
        Command::EraseRequest { .. } | Command::Erase { .. } | Command::Spill { .. } => Verb::Erase,
        Command::UserAdd { .. }
        | Command::UserGroups { .. }
        | Command::UserRoles { .. }
        | Command::UserDisable { .. }
        | Command::UserLabels { .. }
        | Command::UserEnrolKey { .. }
        | Command::UserRevokeKey { .. }
        | Command::TokenIssue { .. }
        | Command::TokenRevoke { .. }
        | Command::WitnessImport { .. }
        | Command::WitnessAdd { .. }
        | Command::LedgerBackup { .. }
        | Command::SourceChange { .. }
        | Command::SourceReload
        | Command::SourceSynchronise { .. }
        | Command::CorpusChange { .. }
        | Command::CorpusReload => Verb::Administer,
    }
}

/// Whether it is allowed by the default policy where there is none that can be used: it mends that.
pub(super) fn mends(command: &Command) -> bool {
    matches!(
        command,
        Command::PolicyShow
            | Command::PolicyText { .. }
            | Command::PolicySet { .. }
            | Command::PolicyReload
            | Command::Status
            | Command::UserKeys
    )
}
