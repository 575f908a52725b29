//! Stand-in until the import is merged.
use crate::object::Object;
use crate::vault::{Vault, VaultError};
use protocol::Digest;
#[allow(missing_docs)]
impl Vault {
    pub fn put_object(&self, object: &Object) -> Result<Digest, VaultError> {
        let d = object.digest();
        self.put(&self.root.join("objects").join(format!("{}.json", d.hex())), &object.bytes())?;
        Ok(d)
    }
    pub fn object(&self, digest: &Digest) -> Result<Object, VaultError> {
        let p = self.root.join("objects").join(format!("{}.json", digest.hex()));
        let b = std::fs::read(&p).map_err(|_| VaultError::NoLock(*digest))?;
        Ok(Object::parse(&b).unwrap())
    }
    pub fn find(&self, name: &str) -> Result<Object, VaultError> {
        for e in std::fs::read_dir(self.root.join("objects")).unwrap() {
            let o = Object::parse(&std::fs::read(e.unwrap().path()).unwrap()).unwrap();
            let w: Vec<Digest> = o.weights().map(|w| w.digest).into_iter().chain([o.digest()]).collect();
            if crate::deployment::means(name, &o.title(), &w) {
                return Ok(o);
            }
        }
        Err(VaultError::NoLock(Digest([0; 32])))
    }
}
