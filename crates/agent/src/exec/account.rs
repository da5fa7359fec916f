//! Users and groups, from the guest's `/etc/passwd` and `/etc/group` (passwd(5), group(5)). An image may have neither.

use banger_guest_api::Failure;

use super::Surroundings;
use crate::failure::refused;

/// Who a command runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
    pub(crate) home: String,
    pub(crate) shell: Option<String>,
}

/// The account that `user` names in this guest.
pub(crate) fn of(user: Option<&str>, surroundings: &Surroundings) -> Result<Account, Failure> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let mut account = find(user, &read("/etc/passwd"), &read("/etc/group"))?;
    if !surroundings.is_real() {
        // The host's user plays the guest's root.
        account.home = surroundings.path("/root").to_string_lossy().into_owned();
    }
    Ok(account)
}

/// The account that `user` names: `user`, `uid`, `user:group` or `uid:gid`; root when absent.
pub(crate) fn find(user: Option<&str>, passwd: &str, group: &str) -> Result<Account, Failure> {
    let user = user.unwrap_or("root");
    let (user, wanted_group) = match user.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (user, None),
    };
    let mut account = match passwd
        .lines()
        .filter_map(entry)
        .find(|(name, account)| *name == user || user.parse() == Ok(account.uid))
    {
        Some((_, account)) => account,
        None => unlisted(user)?,
    };
    account.groups = supplementary(&account.name, group);
    if let Some(wanted) = wanted_group {
        account.gid =
            group_id(wanted, group).ok_or_else(|| refused(format!("there is no group `{wanted}`")))?;
        account.groups.clear();
    }
    if !account.groups.contains(&account.gid) {
        account.groups.push(account.gid);
    }
    Ok(account)
}

/// `name:password:uid:gid:comment:home:shell`
fn entry(line: &str) -> Option<(&str, Account)> {
    let fields: Vec<_> = line.split(':').collect();
    let [name, _, uid, gid, _, home, shell] = fields[..] else {
        return None;
    };
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let account = Account {
        name: name.to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        groups: Vec::new(),
        home: text(home).unwrap_or_else(|| "/".to_owned()),
        shell: text(shell),
    };
    Some((name, account))
}

/// Root needs no entry, and neither does a number.
fn unlisted(user: &str) -> Result<Account, Failure> {
    let uid = if user == "root" {
        Some(0)
    } else {
        user.parse().ok()
    };
    let uid: u32 = uid.ok_or_else(|| refused(format!("there is no user `{user}`")))?;
    Ok(Account {
        name: user.to_owned(),
        uid,
        gid: if uid == 0 { 0 } else { uid },
        groups: Vec::new(),
        home: if uid == 0 {
            "/root".to_owned()
        } else {
            "/".to_owned()
        },
        shell: None,
    })
}

/// `name:password:gid:members`
fn supplementary(user: &str, group: &str) -> Vec<u32> {
    let member = |line: &str| {
        let fields: Vec<_> = line.split(':').collect();
        let [_, _, gid, members] = fields[..] else {
            return None;
        };
        members
            .split(',')
            .any(|member| member == user)
            .then(|| gid.parse().ok())?
    };
    group.lines().filter_map(member).collect()
}

fn group_id(wanted: &str, group: &str) -> Option<u32> {
    let named = group.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let gid = fields.nth(1)?;
        (name == wanted).then(|| gid.parse().ok())?
    });
    named.or_else(|| wanted.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nweb:x:1000:1000:,,,:/home/web:/bin/sh\nbroken\n";
    const GROUP: &str = "root:x:0:\nwww-data:x:33:web,other\nweb:x:1000:\n";

    #[test]
    fn accounts_are_found_by_name_and_number() {
        let web = find(Some("web"), PASSWD, GROUP).unwrap();
        assert_eq!(
            (web.uid, web.home.as_str(), web.groups.as_slice()),
            (1000, "/home/web", &[33, 1000][..])
        );
        assert_eq!(find(Some("1000"), PASSWD, GROUP).unwrap(), web);
        assert_eq!(
            find(None, PASSWD, GROUP).unwrap().shell.as_deref(),
            Some("/bin/bash")
        );
    }

    #[test]
    fn a_named_group_replaces_all_others() {
        let web = find(Some("web:www-data"), PASSWD, GROUP).unwrap();
        assert_eq!((web.gid, web.groups), (33, vec![33]));
        assert!(find(Some("web:nobody"), PASSWD, GROUP).is_err());
    }

    #[test]
    fn an_image_without_accounts_has_root_and_numbers() {
        assert_eq!(find(None, "", "").unwrap().home, "/root");
        assert_eq!(find(Some("1234:5"), "", "").unwrap().gid, 5);
        assert_eq!(
            find(Some("web"), "", "").unwrap_err().message,
            "there is no user `web`"
        );
    }
}
