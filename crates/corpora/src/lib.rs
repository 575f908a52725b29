//! What corpora are made of: files of repositories, folders and archives, each with its origin and its licence by the
//! evidence there is.
