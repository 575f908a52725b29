//! Users and tokens, in SQLite.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use approval::{KeyError, PublicKey};
use credentials::{JwtRefused, Provider, Refused, is_name, looks_like_jwt};
use protocol::digest::{hex, unhex};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{Credential, LabelSet, Lattice, Login, Principal, Role, RolesOfGroups, Scope};

const SCHEMA_VERSION: i64 = 5;
const SCHEMA: &str = "
create table users (
    name text primary key,
    labels text not null,
    created_unix_s integer not null,
    disabled_unix_s integer
) strict;
create table tokens (
    id text primary key,
    user text not null references users (name),
    sha256 blob not null,
    note text not null,
    created_unix_s integer not null,
    revoked_unix_s integer
) strict;
";
/// What version 2 added: keys that approve.
const SCHEMA_2: &str = "
create table keys (
    key text primary key,
    user text not null references users (name),
    enrolled_unix_s integer not null,
    revoked_unix_s integer
) strict;
";
/// What version 3 added: groups, by name, separated by commas.
const SCHEMA_3: &str = "
alter table users add column groups text not null default '';
";
/// What version 4 added: roles, by name, separated by commas.
const SCHEMA_4: &str = "
alter table users add column roles text not null default '';
";
/// What version 5 added: when a token ends, and the actions that it is limited to, separated by commas; without them, all.
const SCHEMA_5: &str = "
alter table tokens add column expires_unix_s integer;
alter table tokens add column scope text not null default '';
pragma user_version = 5;
";
/// In a list of readers: all.
const EVERYONE: &str = "everyone";
/// The name of whoever owns the data directory.
const OWNER: &str = "owner";
const TOKEN_PREFIX: &str = "clst_";
const ID_BYTES: usize = 6;
const SECRET_BYTES: usize = 32;
const NOTE_BYTES_MAX: usize = 256;

/// Users and tokens. One process at a time has them open: the data directory's lock sees to it.
pub struct Identity {
    connection: Mutex<Connection>,
    /// Live tokens by id, so that a request costs no query; emptied at every change.
    live: Mutex<HashMap<String, Live>>,
    /// Enabled users by name, likewise.
    users: Mutex<HashMap<String, Principal>>,
    /// Whose tokens are believed beside our own.
    provider: RwLock<Option<Arc<Provider>>>,
    owner_uid: u32,
    lattice: Lattice,
    roles: RolesOfGroups,
}

#[derive(Clone)]
struct Live {
    sha256: [u8; 32],
    expires_unix_s: Option<i64>,
    principal: Principal,
}

/// How long a token is good, and for what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// From when on it is not; never, if absent.
    pub expires_unix_s: Option<i64>,
    /// What it is limited to.
    pub scope: Scope,
}

impl Terms {
    /// Good for so many days from now on; for ever, without a number.
    pub fn from_now(days: Option<u32>, scope: Scope) -> Terms {
        const DAY_S: i64 = 24 * 60 * 60;
        Terms { expires_unix_s: days.map(|days| now_unix_s() + i64::from(days) * DAY_S), scope }
    }
}

/// A new token. Its text exists here only.
pub struct Issued {
    /// What it is listed and revoked by.
    pub id: String,
    /// What a client shows.
    pub text: String,
}

/// A user, for lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserView {
    /// Unique.
    pub name: String,
    /// Labels they may see.
    pub labels: LabelSet,
    /// Groups they are in.
    pub groups: Vec<String>,
    /// Roles they have themselves.
    pub roles: Vec<Role>,
    /// When they were added.
    pub created_unix_s: i64,
    /// When they were disabled.
    pub disabled_unix_s: Option<i64>,
}

/// A token, for lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenView {
    /// What it is revoked by.
    pub id: String,
    /// Whose.
    pub user: String,
    /// What it is for.
    pub note: String,
    /// When it was issued.
    pub created_unix_s: i64,
    /// From when on it is not good any more.
    pub expires_unix_s: Option<i64>,
    /// What it is limited to; null where nothing limits it.
    pub scope: Scope,
    /// When it was revoked.
    pub revoked_unix_s: Option<i64>,
}

/// A key that approves, for lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyView {
    /// Whose.
    pub user: String,
    /// The key, as OpenSSH's one line.
    pub key: PublicKey,
    /// How people compare it.
    pub fingerprint: String,
    /// When it was enrolled.
    pub enrolled_unix_s: i64,
    /// When it was revoked.
    pub revoked_unix_s: Option<i64>,
}

/// Why a change or a list failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database.
    #[error("the identity database failed")]
    Database(#[from] rusqlite::Error),
    /// Written by another version.
    #[error("the identity database has version {0}; this program knows {SCHEMA_VERSION}")]
    Version(i64),
    /// A name is not allowed.
    #[error(
        "`{0}` cannot be a user's name: use 1 to 64 of a-z, 0-9, `.`, `_` and `-`, beginning with a letter"
    )]
    Name(String),
    /// A group's name is not allowed.
    #[error(
        "`{0}` cannot be a group's name: use 1 to 64 of a-z, 0-9, `.`, `_` and `-`, beginning with a letter"
    )]
    Group(String),
    /// A note is too long.
    #[error("a note has at most {NOTE_BYTES_MAX} bytes")]
    Note,
    /// The name is taken.
    #[error("there is a user {0} already")]
    Taken(String),
    /// No such user.
    #[error("there is no user {0}")]
    NoUser(String),
    /// No such token, or it is revoked already.
    #[error("there is no live token {0}")]
    NoToken(String),
    /// The key is somebody's already, or was.
    #[error("the key is or was enrolled to {0}: a key is enrolled once")]
    KeyTaken(String),
    /// No such live key.
    #[error("there is no live key {0}")]
    NoKey(String),
    /// The directory.
    #[error("{0}: cannot be made")]
    Directory(String, #[source] std::io::Error),
    /// The system gives none.
    #[error("no randomness from the system: {0}")]
    Randomness(String),
}

fn groups_text(groups: &[String]) -> Result<String, StoreError> {
    if let Some(group) = groups.iter().find(|group| !is_name(group)) {
        return Err(StoreError::Group(group.clone()));
    }
    let mut groups = groups.to_vec();
    groups.sort();
    groups.dedup();
    Ok(groups.join(","))
}

fn parse_groups(text: &str) -> Vec<String> {
    text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Why nobody was recognised. Says the same whatever is wrong with a token.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticateError {
    /// No credential.
    #[error(
        "a token is needed: send `Authorization: Bearer TOKEN` (an administrator issues one with `cloisterd token issue`)"
    )]
    Missing,
    /// Not a live token.
    #[error("the token is not valid")]
    Token,
    /// A token whose time is over. Only who has it is told, since only they show its secret.
    #[error("the token has expired: an administrator issues another with `cloisterd token issue`")]
    Expired,
    /// Another user of the machine.
    #[error("user {0} of this machine is not known here: send a token")]
    Peer(u32),
    /// A client's certificate, which held, and is nobody's.
    #[error("the certificate is nobody's here")]
    Certificate(Refused),
    /// A token of an identity provider.
    #[error("the token is not valid")]
    Jwt(JwtRefused),
    /// Named by proof, and not among the users, or disabled.
    #[error("whoever that is, they are not known here, or disabled")]
    Unknown,
    /// A certificate of one person, and a token of another.
    #[error("the certificate and the token are not of one person")]
    Different,
    /// Void whatever it says; the reason is for the record.
    #[error("the credential cannot be used here")]
    Void(&'static str),
    /// The database: nobody gets in.
    #[error("nobody can be recognised at the moment")]
    Store(#[from] StoreError),
}

impl AuthenticateError {
    /// A short reason, for records: more than whoever asked is told.
    pub fn reason(&self) -> &'static str {
        match self {
            AuthenticateError::Missing => "no credential",
            AuthenticateError::Token => "not a live token",
            AuthenticateError::Expired => "an expired token",
            AuthenticateError::Peer(_) => "another user of the machine",
            AuthenticateError::Certificate(refused) => refused.reason(),
            AuthenticateError::Jwt(refused) => refused.reason(),
            AuthenticateError::Unknown => "not an enabled user",
            AuthenticateError::Different => "certificate and token of different persons",
            AuthenticateError::Void(reason) => reason,
            AuthenticateError::Store(_) => "the identity database failed",
        }
    }
}

impl Identity {
    /// Opens the store in a directory, making it where it is missing. `owner_uid` owns the data directory.
    pub fn open(directory: &Path, owner_uid: u32) -> Result<Identity, StoreError> {
        std::fs::create_dir_all(directory)
            .map_err(|error| StoreError::Directory(directory.display().to_string(), error))?;
        let connection = Connection::open(directory.join("identity.db"))?;
        // No file outside the directory: the gateway's jail has no other.
        connection.execute_batch(
            "pragma temp_store = memory; pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on;",
        )?;
        match connection.query_row("pragma user_version", [], |row| row.get(0))? {
            SCHEMA_VERSION => {}
            version @ 0..SCHEMA_VERSION => {
                let steps = [SCHEMA, SCHEMA_2, SCHEMA_3, SCHEMA_4, SCHEMA_5];
                let missing = steps.get(usize::try_from(version).unwrap_or(0)..).unwrap_or_default();
                connection.execute_batch(&format!("begin; {} commit;", missing.concat()))?;
            }
            other => return Err(StoreError::Version(other)),
        }
        Ok(Identity {
            connection: Mutex::new(connection),
            live: Mutex::default(),
            users: Mutex::default(),
            provider: RwLock::default(),
            owner_uid,
            lattice: Lattice::default(),
            roles: RolesOfGroups::default(),
        })
    }

    /// With what the site's labels mean, and the roles that groups have.
    #[must_use]
    pub fn with(self, lattice: Lattice, roles: RolesOfGroups) -> Identity {
        Identity { lattice, roles, ..self }
    }

    /// What the site's labels mean.
    pub fn lattice(&self) -> &Lattice {
        &self.lattice
    }

    /// Whose tokens are believed from now on, beside our own; nobody's without one.
    pub fn set_provider(&self, provider: Option<Arc<Provider>>) {
        *self.provider.write().unwrap_or_else(PoisonError::into_inner) = provider;
    }

    /// A user who is not disabled, by name: for those who signed, and for what-ifs.
    pub fn person(&self, name: &str, credential: &str) -> Result<Option<Principal>, StoreError> {
        match self.user(name, credential.to_owned()) {
            Ok(principal) => Ok(Some(principal)),
            Err(AuthenticateError::Store(error)) => Err(error),
            Err(_) => Ok(None),
        }
    }

    fn principal(
        &self,
        name: String,
        credential: String,
        labels: &LabelSet,
        groups: Vec<String>,
        mut roles: Vec<Role>,
    ) -> Principal {
        let of_groups = self.roles.iter().filter(|(_, of)| of.iter().any(|group| groups.contains(group)));
        roles.extend(of_groups.map(|(role, _)| *role));
        roles.sort_unstable();
        roles.dedup();
        let clearance = self.lattice.closed(labels);
        Principal { name, credential, clearance, groups, roles, is_owner: false, scope: Scope::default() }
    }

    /// Who shows this credential.
    pub fn authenticate(&self, credential: &Credential) -> Result<Principal, AuthenticateError> {
        match credential {
            Credential::None => Err(AuthenticateError::Missing),
            Credential::Peer { uid } if *uid == self.owner_uid => Ok(Principal {
                name: OWNER.to_owned(),
                credential: format!("uid:{uid}"),
                clearance: LabelSet::default(),
                groups: Vec::new(),
                roles: Vec::new(),
                is_owner: true,
                scope: Scope::default(),
            }),
            Credential::Peer { uid } => Err(AuthenticateError::Peer(*uid)),
            Credential::Bearer(text) if looks_like_jwt(text) => self.authenticate_jwt(text),
            Credential::Bearer(text) => self.authenticate_token(text),
            Credential::Certificate { login, bearer } => {
                self.authenticate_certificate(login, bearer.as_deref())
            }
            Credential::Proxied { uid, name } => self.user(name, format!("proxy:{uid}")),
            Credential::Void { reason, .. } => Err(AuthenticateError::Void(reason)),
        }
    }

    fn authenticate_certificate(
        &self,
        login: &Login,
        bearer: Option<&str>,
    ) -> Result<Principal, AuthenticateError> {
        let person = login.person.as_ref().map_err(|refused| AuthenticateError::Certificate(*refused))?;
        let principal = self.user(person, format!("certificate:{}", login.certificate))?;
        let Some(bearer) = bearer else { return Ok(principal) };
        let other = self.authenticate(&Credential::Bearer(bearer.to_owned()))?;
        if other.name != principal.name {
            return Err(AuthenticateError::Different);
        }
        let credential = format!("{} {}", principal.credential, other.credential);
        Ok(Principal { credential, ..other })
    }

    fn authenticate_jwt(&self, text: &str) -> Result<Principal, AuthenticateError> {
        let provider = self.provider.read().unwrap_or_else(PoisonError::into_inner).clone();
        let provider = provider.ok_or(AuthenticateError::Jwt(JwtRefused::NoProvider))?;
        let named = provider.verify(text, now_unix_s()).map_err(AuthenticateError::Jwt)?;
        let mut principal = self.user(&named.person, named.credential)?;
        // Groups of elsewhere let read. Roles, which also restrict, are this server's to give: they must hold whatever
        // somebody shows. A list of readers names persons and groups alike, so a group may not pass for a person.
        for group in named.groups {
            if group != EVERYONE && !self.is_user(&group)? {
                principal.groups.push(group);
            }
        }
        principal.groups.sort();
        principal.groups.dedup();
        Ok(principal)
    }

    /// Whether there is or was a user of that name.
    fn is_user(&self, name: &str) -> Result<bool, StoreError> {
        let sql = "select 1 from users where name = ?1";
        let row = lock(&self.connection).query_row(sql, params![name], |_| Ok(())).optional()?;
        Ok(row.is_some() || name == OWNER)
    }

    /// An enabled user whom a proof names. The owner of the data directory is no such user: only the kernel names them.
    fn user(&self, name: &str, credential: String) -> Result<Principal, AuthenticateError> {
        if let Some(user) = lock(&self.users).get(name) {
            return Ok(Principal { credential, ..user.clone() });
        }
        let connection = lock(&self.connection);
        let row = connection
            .query_row(
                "select labels, groups, roles from users where name = ?1 and disabled_unix_s is null",
                params![name],
                |row| Ok([row.get::<_, String>(0)?, row.get(1)?, row.get(2)?]),
            )
            .optional()
            .map_err(StoreError::from)?;
        let [labels, groups, roles] = row.ok_or(AuthenticateError::Unknown)?;
        let (labels, roles) = (parse_labels(&labels)?, parse_stored_roles(&roles)?);
        let principal = self.principal(name.to_owned(), credential, &labels, parse_groups(&groups), roles);
        // Under the connection's lock, so that a change empties this after it is filled.
        lock(&self.users).insert(name.to_owned(), principal.clone());
        Ok(principal)
    }

    fn authenticate_token(&self, text: &str) -> Result<Principal, AuthenticateError> {
        let (id, secret) = parse_token(text).ok_or(AuthenticateError::Token)?;
        let live = self.live_token(id)?;
        // An unknown id costs the same comparison as a known one.
        let expected = live.as_ref().map_or([0; 32], |live| live.sha256);
        let shown: [u8; 32] = Sha256::digest(secret).into();
        let equal: bool = expected.ct_eq(&shown).into();
        let live = live.filter(|_| equal).ok_or(AuthenticateError::Token)?;
        if live.expires_unix_s.is_some_and(|expires| expires <= now_unix_s()) {
            return Err(AuthenticateError::Expired);
        }
        Ok(live.principal)
    }

    fn live_token(&self, id: &str) -> Result<Option<Live>, StoreError> {
        if let Some(live) = lock(&self.live).get(id) {
            return Ok(Some(live.clone()));
        }
        let connection = lock(&self.connection);
        let row = connection
            .query_row(
                "select users.name, users.labels, users.groups, users.roles, scope, sha256, expires_unix_s
                 from tokens join users on users.name = tokens.user
                 where tokens.id = ?1 and revoked_unix_s is null and disabled_unix_s is null",
                params![id],
                |row| {
                    let texts =
                        [row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?];
                    Ok((texts, row.get(5)?, row.get(6)?))
                },
            )
            .optional()?;
        let Some(([name, labels, groups, roles, scope], sha256, expires_unix_s)) = row else {
            return Ok(None);
        };
        let labels = parse_labels(&labels)?;
        let (roles, scope) = (parse_stored_roles(&roles)?, parse_scope(&scope)?);
        let principal = self.principal(name, format!("token:{id}"), &labels, parse_groups(&groups), roles);
        let live = Live { sha256, expires_unix_s, principal: Principal { scope, ..principal } };
        // Under the connection's lock, so that a revocation empties this after it is filled.
        lock(&self.live).insert(id.to_owned(), live.clone());
        Ok(Some(live))
    }

    /// Adds a user.
    pub fn user_add(&self, name: &str, labels: &LabelSet, groups: &[String]) -> Result<(), StoreError> {
        if !is_name(name) {
            return Err(StoreError::Name(name.to_owned()));
        }
        if name == OWNER {
            return Err(StoreError::Taken(name.to_owned()));
        }
        let groups = groups_text(groups)?;
        let added = self.change(
            "insert into users (name, labels, groups, created_unix_s) values (?1, ?2, ?3, ?4)
             on conflict do nothing",
            params![name, labels.to_string(), groups, now_unix_s()],
        )?;
        if added == 0 { Err(StoreError::Taken(name.to_owned())) } else { Ok(()) }
    }

    /// Puts a user into groups, and out of all others, at once.
    pub fn user_groups(&self, name: &str, groups: &[String]) -> Result<(), StoreError> {
        let groups = groups_text(groups)?;
        let changed = self.change(
            "update users set groups = ?2 where name = ?1 and disabled_unix_s is null",
            params![name, groups],
        )?;
        if changed == 0 { Err(StoreError::NoUser(name.to_owned())) } else { Ok(()) }
    }

    /// What a user is cleared for, instead of what it was.
    pub fn user_labels(&self, name: &str, labels: &LabelSet) -> Result<(), StoreError> {
        let changed = self.change(
            "update users set labels = ?2 where name = ?1 and disabled_unix_s is null",
            params![name, labels.to_string()],
        )?;
        if changed == 0 { Err(StoreError::NoUser(name.to_owned())) } else { Ok(()) }
    }

    /// Gives a user roles, and takes all others, at once.
    pub fn user_roles(&self, name: &str, roles: &[Role]) -> Result<(), StoreError> {
        let names: Vec<&str> = roles.iter().map(|role| role.name()).collect();
        let changed = self.change(
            "update users set roles = ?2 where name = ?1 and disabled_unix_s is null",
            params![name, names.join(",")],
        )?;
        if changed == 0 { Err(StoreError::NoUser(name.to_owned())) } else { Ok(()) }
    }

    /// Disables a user: their tokens are dead at once, and so is every other proof that names them.
    pub fn user_disable(&self, name: &str) -> Result<(), StoreError> {
        let disabled = self.change(
            "update users set disabled_unix_s = ?2 where name = ?1 and disabled_unix_s is null",
            params![name, now_unix_s()],
        )?;
        if disabled == 0 { Err(StoreError::NoUser(name.to_owned())) } else { Ok(()) }
    }

    /// All users, by name.
    pub fn user_list(&self) -> Result<Vec<UserView>, StoreError> {
        let connection = lock(&self.connection);
        let mut statement = connection.prepare(
            "select name, labels, created_unix_s, disabled_unix_s, groups, roles from users order by name",
        )?;
        let rows = statement.query_map([], |row| {
            let [labels, groups, roles] = [row.get(1)?, row.get(4)?, row.get::<_, String>(5)?];
            Ok((row.get(0)?, labels, row.get(2)?, row.get(3)?, groups, roles))
        })?;
        rows.map(|row| {
            let (name, labels, created_unix_s, disabled_unix_s, groups, roles) = row?;
            let (labels, groups) = (parse_labels(&labels)?, parse_groups(&groups));
            let roles = parse_stored_roles(&roles)?;
            Ok(UserView { name, labels, groups, roles, created_unix_s, disabled_unix_s })
        })
        .collect()
    }

    /// Issues a token.
    pub fn token_issue(&self, user: &str, note: &str, terms: &Terms) -> Result<Issued, StoreError> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(StoreError::Note);
        }
        let (id, secret) = (random::<ID_BYTES>()?, random::<SECRET_BYTES>()?);
        let id = hex(&id);
        let sha256: [u8; 32] = Sha256::digest(secret).into();
        let issued = self.change(
            "insert into tokens (id, user, sha256, note, created_unix_s, expires_unix_s, scope)
             select ?1, name, ?3, ?4, ?5, ?6, ?7 from users where name = ?2 and disabled_unix_s is null",
            params![id, user, sha256, note, now_unix_s(), terms.expires_unix_s, terms.scope.to_string()],
        )?;
        if issued == 0 {
            return Err(StoreError::NoUser(user.to_owned()));
        }
        let text = format!("{TOKEN_PREFIX}{id}_{}", hex(&secret));
        Ok(Issued { id, text })
    }

    /// Revokes a token, at once.
    pub fn token_revoke(&self, id: &str) -> Result<(), StoreError> {
        let revoked = self.change(
            "update tokens set revoked_unix_s = ?2 where id = ?1 and revoked_unix_s is null",
            params![id, now_unix_s()],
        )?;
        if revoked == 0 { Err(StoreError::NoToken(id.to_owned())) } else { Ok(()) }
    }

    /// All tokens, oldest first.
    pub fn token_list(&self) -> Result<Vec<TokenView>, StoreError> {
        let connection = lock(&self.connection);
        let mut statement = connection.prepare(
            "select id, user, note, created_unix_s, expires_unix_s, scope, revoked_unix_s from tokens
             order by created_unix_s, id",
        )?;
        let rows = statement.query_map([], |row| {
            let token = TokenView {
                id: row.get(0)?,
                user: row.get(1)?,
                note: row.get(2)?,
                created_unix_s: row.get(3)?,
                expires_unix_s: row.get(4)?,
                scope: Scope::default(),
                revoked_unix_s: row.get(6)?,
            };
            Ok((token, row.get::<_, String>(5)?))
        })?;
        rows.map(|row| {
            let (token, scope) = row?;
            Ok(TokenView { scope: parse_scope(&scope)?, ..token })
        })
        .collect()
    }

    /// Whether a user may enrol a key: the user is there, and nobody has or had the key.
    pub fn key_check(&self, user: &str, key: &PublicKey) -> Result<(), StoreError> {
        if let Some(owner) = self.key_list()?.into_iter().find(|row| row.key == *key) {
            return Err(StoreError::KeyTaken(owner.user));
        }
        let live = self.user_list()?.into_iter().any(|row| row.name == user && row.disabled_unix_s.is_none());
        if live { Ok(()) } else { Err(StoreError::NoUser(user.to_owned())) }
    }

    /// Enrols a key that approves in a user's name.
    pub fn key_enrol(&self, user: &str, key: &PublicKey) -> Result<(), StoreError> {
        self.key_check(user, key)?;
        self.change(
            "insert into keys (key, user, enrolled_unix_s) values (?1, ?2, ?3)",
            params![key.to_string(), user, now_unix_s()],
        )?;
        Ok(())
    }

    /// Revokes a key: it approves nothing any more.
    pub fn key_revoke(&self, user: &str, key: &PublicKey) -> Result<(), StoreError> {
        let revoked = self.change(
            "update keys set revoked_unix_s = ?3 where key = ?1 and user = ?2 and revoked_unix_s is null",
            params![key.to_string(), user, now_unix_s()],
        )?;
        if revoked == 0 { Err(StoreError::NoKey(key.fingerprint())) } else { Ok(()) }
    }

    /// All keys, oldest first.
    pub fn key_list(&self) -> Result<Vec<KeyView>, StoreError> {
        let connection = lock(&self.connection);
        let mut statement = connection.prepare(
            "select user, key, enrolled_unix_s, revoked_unix_s from keys order by enrolled_unix_s, key",
        )?;
        let rows = statement
            .query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get(3)?)))?;
        rows.map(|row| {
            let (user, key, enrolled_unix_s, revoked_unix_s) = row?;
            let invalid = |error: KeyError| {
                rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, Box::new(error))
            };
            let key: PublicKey = key.parse().map_err(invalid)?;
            let fingerprint = key.fingerprint();
            Ok(KeyView { user, key, fingerprint, enrolled_unix_s, revoked_unix_s })
        })
        .collect()
    }

    fn change(&self, statement: &str, parameters: impl rusqlite::Params) -> Result<usize, StoreError> {
        let connection = lock(&self.connection);
        let changed = connection.execute(statement, parameters)?;
        lock(&self.live).clear();
        lock(&self.users).clear();
        Ok(changed)
    }
}

fn parse_token(text: &str) -> Option<(&str, Vec<u8>)> {
    let (id, secret) = text.strip_prefix(TOKEN_PREFIX)?.split_once('_')?;
    let fits = id.len() == 2 * ID_BYTES && secret.len() == 2 * SECRET_BYTES;
    let secret = unhex(secret).filter(|_| fits)?;
    Some((id, secret))
}

fn parse_labels(text: &str) -> Result<LabelSet, StoreError> {
    let invalid =
        |error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error));
    text.parse().map_err(|error: crate::LabelError| invalid(error).into())
}

/// A role that this program does not know is an error: without it, somebody might be allowed more.
fn parse_stored_roles(text: &str) -> Result<Vec<Role>, StoreError> {
    let invalid =
        |error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error));
    let roles = crate::parse_roles(text.split(',').filter(|name| !name.is_empty()));
    roles.map_err(|error| invalid(error).into())
}

/// An action that this program does not know is an error, though leaving it out would only allow less: it says so.
fn parse_scope(text: &str) -> Result<Scope, StoreError> {
    let invalid =
        |error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error));
    text.parse().map_err(|error: crate::NoVerb| invalid(error).into())
}

fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Randomness(error.to_string()))?;
    Ok(bytes)
}

fn now_unix_s() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

/// A panic while the lock was held leaves SQLite's own state, which it keeps whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> (tempfile::TempDir, Identity) {
        let directory = tempfile::tempdir().unwrap();
        let identity = Identity::open(directory.path(), 1000).unwrap();
        (directory, identity)
    }

    fn bearer(text: &str) -> Credential {
        Credential::Bearer(text.to_owned())
    }

    #[test]
    fn a_token_lives_until_revoked() {
        let (directory, identity) = opened();
        identity.user_add("ada", &"flight".parse().unwrap(), &[]).unwrap();
        let issued = identity.token_issue("ada", "editor", &Terms::default()).unwrap();
        let principal = identity.authenticate(&bearer(&issued.text)).unwrap();
        assert_eq!((principal.name.as_str(), principal.is_owner), ("ada", false));
        assert_eq!(principal.credential, format!("token:{}", issued.id));
        assert_eq!(principal.clearance.to_string(), "flight");

        let mut flipped = issued.text.clone().into_bytes();
        let last = flipped.len() - 1;
        flipped[last] = if flipped[last] == b'0' { b'1' } else { b'0' };
        let flipped = String::from_utf8(flipped).unwrap();
        for wrong in [flipped.as_str(), "", "clst_", &issued.text[..40], &issued.text.to_uppercase()] {
            assert!(
                matches!(identity.authenticate(&bearer(wrong)), Err(AuthenticateError::Token)),
                "{wrong}"
            );
        }

        drop(identity);
        let identity = Identity::open(directory.path(), 1000).unwrap();
        assert!(identity.authenticate(&bearer(&issued.text)).is_ok());
        identity.token_revoke(&issued.id).unwrap();
        assert!(identity.authenticate(&bearer(&issued.text)).is_err());
        assert!(matches!(identity.token_revoke(&issued.id), Err(StoreError::NoToken(_))));
        assert!(identity.token_list().unwrap()[0].revoked_unix_s.is_some());
    }

    #[test]
    fn a_token_ends_and_is_limited() {
        let (_directory, identity) = opened();
        identity.user_add("ada", &LabelSet::default(), &[]).unwrap();
        let issue = |seconds: i64| {
            let scope = Scope::of(["use"]).unwrap();
            let terms = Terms { expires_unix_s: Some(now_unix_s() + seconds), scope };
            identity.token_issue("ada", "", &terms).unwrap()
        };
        let (live, over) = (issue(60), issue(0));
        let principal = identity.authenticate(&bearer(&live.text)).unwrap();
        assert!(principal.scope.allows(crate::Verb::Chat) && !principal.scope.allows(crate::Verb::Export));
        // From the cache, too.
        for _ in 0..2 {
            let refused = identity.authenticate(&bearer(&over.text)).unwrap_err();
            assert_eq!(refused.reason(), "an expired token");
        }
        // Whoever has not its secret is not told that it is one that has expired.
        let guessed = format!("{}{}", &over.text[..over.text.len() - 1], "x");
        assert_eq!(identity.authenticate(&bearer(&guessed)).unwrap_err().reason(), "not a live token");
        let both = identity.authenticate(&certificate(Ok("ada"), Some(&live.text))).unwrap();
        assert!(!both.scope.allows(crate::Verb::Export), "a certificate beside it does not widen it");
        let listed = identity.token_list().unwrap();
        assert!(listed.iter().all(|token| token.scope == principal.scope && token.expires_unix_s.is_some()));
    }

    #[test]
    fn the_secret_is_not_on_disk() {
        let (directory, identity) = opened();
        identity.user_add("ada", &LabelSet::default(), &[]).unwrap();
        let text = identity.token_issue("ada", "", &Terms::default()).unwrap().text;
        drop(identity);
        let secret = text.rsplit('_').next().unwrap();
        for entry in std::fs::read_dir(directory.path()).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
            let raw = unhex(secret).unwrap();
            assert!(!bytes.windows(raw.len()).any(|window| window == raw));
        }
    }

    #[test]
    fn disabled_users_and_wrong_names() {
        let (_directory, identity) = opened();
        identity.user_add("bob", &LabelSet::default(), &[]).unwrap();
        assert!(matches!(identity.user_add("bob", &LabelSet::default(), &[]), Err(StoreError::Taken(_))));
        for name in ["", "Bob", "bób", "1b", "a b", "owner", &"x".repeat(65)] {
            assert!(identity.user_add(name, &LabelSet::default(), &[]).is_err(), "{name}");
        }
        let token = identity.token_issue("bob", "", &Terms::default()).unwrap();
        assert!(identity.authenticate(&bearer(&token.text)).is_ok());
        identity.user_disable("bob").unwrap();
        assert!(identity.authenticate(&bearer(&token.text)).is_err());
        assert!(matches!(identity.token_issue("bob", "", &Terms::default()), Err(StoreError::NoUser(_))));
        assert!(matches!(identity.token_issue("eve", "", &Terms::default()), Err(StoreError::NoUser(_))));
    }

    #[test]
    fn keys_are_enrolled_once() {
        let (directory, identity) = opened();
        let key: PublicKey = include_str!("../../approval/tests/ada.pub").parse().unwrap();
        assert!(matches!(identity.key_enrol("ada", &key), Err(StoreError::NoUser(_))));
        identity.user_add("ada", &LabelSet::default(), &[]).unwrap();
        identity.user_add("grace", &LabelSet::default(), &[]).unwrap();
        identity.key_enrol("ada", &key).unwrap();
        assert!(
            matches!(identity.key_enrol("grace", &key), Err(StoreError::KeyTaken(owner)) if owner == "ada")
        );
        assert!(matches!(identity.key_revoke("grace", &key), Err(StoreError::NoKey(_))));
        identity.key_revoke("ada", &key).unwrap();
        assert!(identity.key_enrol("grace", &key).is_err(), "a revoked key stays its owner's");
        drop(identity);
        let listed = Identity::open(directory.path(), 1000).unwrap().key_list().unwrap();
        assert_eq!((listed[0].user.as_str(), &listed[0].key), ("ada", &key));
        assert!(listed[0].revoked_unix_s.is_some());
    }

    /// A store of version 1, which had no keys.
    #[test]
    fn an_older_store_is_brought_up_to_date() {
        let directory = tempfile::tempdir().unwrap();
        let old = Connection::open(directory.path().join("identity.db")).unwrap();
        old.execute_batch(&format!("{SCHEMA} pragma user_version = 1;")).unwrap();
        drop(old);
        let identity = Identity::open(directory.path(), 1000).unwrap();
        assert!(identity.key_list().unwrap().is_empty());
    }

    #[test]
    fn peers() {
        let (_directory, identity) = opened();
        let owner = identity.authenticate(&Credential::Peer { uid: 1000 }).unwrap();
        assert!(owner.is_owner && owner.credential == "uid:1000");
        assert!(matches!(
            identity.authenticate(&Credential::Peer { uid: 0 }),
            Err(AuthenticateError::Peer(0))
        ));
        assert!(matches!(identity.authenticate(&Credential::None), Err(AuthenticateError::Missing)));
    }

    #[test]
    fn a_revocation_wins_against_concurrent_use() {
        let (_directory, identity) = opened();
        identity.user_add("ada", &LabelSet::default(), &[]).unwrap();
        let token = identity.token_issue("ada", "", &Terms::default()).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let _either = identity.authenticate(&bearer(&token.text));
                    }
                });
            }
            identity.token_revoke(&token.id).unwrap();
            assert!(identity.authenticate(&bearer(&token.text)).is_err());
        });
        assert!(identity.authenticate(&bearer(&token.text)).is_err());
    }

    fn certificate(person: Result<&str, Refused>, bearer: Option<&str>) -> Credential {
        let login = Login { certificate: "0a@ff".to_owned(), person: person.map(str::to_owned) };
        Credential::Certificate { login: Arc::new(login), bearer: bearer.map(str::to_owned) }
    }

    /// A proof made elsewhere names a user who must be here, enabled, and the same as another proof says.
    #[test]
    fn proofs_of_elsewhere_name_users_of_here() {
        let (_directory, identity) = opened();
        identity.user_add("ada", &"flight".parse().unwrap(), &["crew".to_owned()]).unwrap();
        identity.user_add("bob", &LabelSet::default(), &[]).unwrap();
        let reason =
            |credential: &Credential| identity.authenticate(credential).map_err(|error| error.reason());
        let ada = reason(&certificate(Ok("ada"), None)).unwrap();
        assert_eq!((ada.name.as_str(), ada.credential.as_str()), ("ada", "certificate:0a@ff"));
        assert_eq!(
            (ada.clearance.to_string().as_str(), ada.groups.as_slice()),
            ("flight", &["crew".to_owned()][..])
        );
        // From the cache: the proof is that of the request all the same.
        let proxied = Credential::Proxied { uid: 33, name: "ada".to_owned() };
        assert_eq!(reason(&proxied).unwrap().credential, "proxy:33");

        let token = identity.token_issue("ada", "", &Terms::default()).unwrap();
        let both = reason(&certificate(Ok("ada"), Some(&token.text))).unwrap();
        assert_eq!(both.credential, format!("certificate:0a@ff token:{}", token.id));
        let different = "certificate and token of different persons";
        assert_eq!(reason(&certificate(Ok("bob"), Some(&token.text))), Err(different));
        assert_eq!(reason(&certificate(Ok("ada"), Some("clst_x"))), Err("not a live token"));

        for name in ["carol", "owner", "", "ada' or 1=1 --"] {
            assert_eq!(reason(&certificate(Ok(name), None)), Err("not an enabled user"), "{name}");
        }
        assert_eq!(
            reason(&certificate(Err(Refused::Several), None)),
            Err("certificate: names several persons")
        );
        let void = Credential::Void { kind: "certificate", reason: "certificate: revoked" };
        assert_eq!(reason(&void), Err("certificate: revoked"));
        assert_eq!(reason(&bearer("eyJhbGciOiJub25lIn0.e30.")), Err("jwt: no usable keys"));

        identity.user_disable("ada").unwrap();
        assert_eq!(reason(&certificate(Ok("ada"), None)), Err("not an enabled user"));
        assert_eq!(reason(&proxied), Err("not an enabled user"));
    }
}
