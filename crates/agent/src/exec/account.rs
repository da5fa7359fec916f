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
    // Names are ASCII, but comments may be in any encoding.
    let read = |path: &str| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    let mut account = find(user, &read("/etc/passwd"), &read("/etc/group"))?;
    if !surroundings.is_real() {
        // The host's user plays the guest's root.
        account.home = surroundings.path("/root").to_string_lossy().into_owned();
    }
    Ok(account)
}

/// The account that `user` names: a name or a number, and perhaps a group by name or number, as `USER`, `USER:GROUP` or
/// `:GROUP`; root when absent. A number needs no entry, and is of group 0 then, as in Docker and containerd.
pub(crate) fn find(user: Option<&str>, passwd: &str, group: &str) -> Result<Account, Failure> {
    let user = user.unwrap_or_default();
    let (user, wanted_group) = user.split_once(':').unwrap_or((user, ""));
    let wanted_group = Some(wanted_group).filter(|group| !group.is_empty());
    let user = if user.is_empty() { "root" } else { user };
    let wanted = id(user);
    let mut account = match passwd
        .lines()
        .filter_map(entry)
        .find(|(name, account)| *name == user || wanted == Some(account.uid))
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

/// A number of a user or a group; the greatest is none (setuid(2)).
fn id(text: &str) -> Option<u32> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&id| is_number && id != u32::MAX)
}

/// `name:password:uid:gid:comment:home:shell`, of which the last three may be missing.
fn entry(line: &str) -> Option<(&str, Account)> {
    let mut fields = line.split(':').map(str::trim);
    let name = fields.next().filter(|name| !name.is_empty())?;
    let _password = fields.next()?;
    let (uid, gid) = (id(fields.next()?)?, id(fields.next()?)?);
    let _comment = fields.next();
    let mut text = || Some(fields.next()?.to_owned()).filter(|text| !text.is_empty());
    let account = Account {
        name: name.to_owned(),
        uid,
        gid,
        groups: Vec::new(),
        home: text().unwrap_or_else(|| "/".to_owned()),
        shell: text(),
    };
    Some((name, account))
}

/// Root needs no entry, and neither does a number.
fn unlisted(user: &str) -> Result<Account, Failure> {
    let uid = if user == "root" { Some(0) } else { id(user) };
    let uid: u32 = uid.ok_or_else(|| refused(format!("there is no user `{user}`")))?;
    let home = if uid == 0 { "/root" } else { "/" };
    Ok(Account {
        name: user.to_owned(),
        uid,
        gid: 0,
        groups: Vec::new(),
        home: home.to_owned(),
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
        let members = members.trim();
        members.split(',').any(|member| member == user).then(|| id(gid))?
    };
    group.lines().filter_map(member).collect()
}

fn group_id(wanted: &str, group: &str) -> Option<u32> {
    let named = group.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let gid = fields.nth(1)?;
        (name == wanted).then(|| id(gid))?
    });
    named.or_else(|| id(wanted))
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
    fn every_form_of_a_user_is_understood_as_by_docker() {
        for (user, uid, gid, groups) in [
            ("", 0, 0, &[0][..]),
            ("root", 0, 0, &[0]),
            ("0", 0, 0, &[0]),
            ("web", 1000, 1000, &[33, 1000]),
            ("1000", 1000, 1000, &[33, 1000]),
            ("web:", 1000, 1000, &[33, 1000]),
            ("web:www-data", 1000, 33, &[33]),
            ("web:5", 1000, 5, &[5]),
            ("1000:www-data", 1000, 33, &[33]),
            (":www-data", 0, 33, &[33]),
            // Numbers that have no entry.
            ("5555", 5555, 0, &[0]),
            ("5555:", 5555, 0, &[0]),
            ("5555:6666", 5555, 6666, &[6666]),
            ("5555:www-data", 5555, 33, &[33]),
            // An entry without the last fields.
            ("short", 7, 8, &[8]),
        ] {
            let found = find(Some(user), &format!("{PASSWD}short:x:7:8"), GROUP).unwrap();
            assert_eq!(
                (found.uid, found.gid, found.groups.as_slice()),
                (uid, gid, groups),
                "{user}"
            );
        }
        for (user, what) in [
            ("nobody", "there is no user `nobody`"),
            ("web:nobody", "there is no group `nobody`"),
            ("-1", "there is no user `-1`"),
            ("+5", "there is no user `+5`"),
            ("4294967295", "there is no user `4294967295`"),
            ("99999999999", "there is no user `99999999999`"),
            ("web:4294967295", "there is no group `4294967295`"),
        ] {
            assert_eq!(find(Some(user), PASSWD, GROUP).unwrap_err().message, what);
        }
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
