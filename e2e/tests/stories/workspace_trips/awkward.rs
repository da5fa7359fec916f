//! Repositories as people have them and as nobody expects them, made by real git.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

/// A kind of repository: its name, and lines of shell that make it in an empty directory. The work tree is `repo`, or what the
/// last line prints.
pub(super) type Kind = (&'static str, &'static str);

pub(super) const KINDS: &[Kind] = &[
    (
        "every kind of change",
        r"
        init; mkdir -p d/e; for f in a b c d/e/f gone moved mode link2file file2link dir2file/x both; do mkdir -p $(dirname $f); echo $f > $f; done
        rm link2file; ln -s a link2file; ln -s /nowhere dangling; echo 'ignored*' > .gitignore; commit
        echo staged >> b; git add b; echo changed >> a; echo staged > both; git add both; echo changed > both
        git rm -q gone; rm c; git mv moved d/moved; chmod +x mode; rm link2file; echo x > link2file
        rm file2link; ln -s b file2link; rm -r dir2file; echo y > dir2file; echo new > new; mkdir -p n/n; echo new > n/n/new
        : > empty; echo ita > ita; git add -N ita; echo no > ignored1; ln -s new 'link to new'; chmod 600 d/e/f; chmod 700 n",
    ),
    (
        "names with every byte",
        r#"
        init; mkdir "$(printf 'dir\377\n')"
        i=1; while [ $i -lt 256 ]; do
          n=$(printf "\\$(printf %03o $i)_"); n=${n%_}
          case $n in /) ;; *) echo $i > "x${n}y"; echo $i > "$(printf 'dir\377\n')/$n" 2>/dev/null || true;; esac; i=$((i+1)); done
        for n in -rf '--' ' ' 'a b' '"q"' "'" '$HOME' '*' '?' '[x]' ':(top)x' '%41' 'back\slash' '#'; do echo "$n" > "./$n"; done
        git add -A ./x*; commit; echo more >> ./-rf; for f in x*; do echo changed >> "./$f"; done; git add ./x2*"#,
    ),
    (
        "a conflict",
        r"
        init; printf '1\n2\n3\n' > f; echo m > modified; echo k > kept; commit; git checkout -q -b other; printf '1\nb\n3\n' > f; echo o > added; git rm -q modified; commit
        git checkout -q main; printf '1\na\n3\n' > f; echo mm > modified; echo mine > added; commit; git merge -q other >/dev/null 2>&1 || true
        echo unrelated > untracked; git rerere >/dev/null 2>&1 || true",
    ),
    ("nothing at all", "init"),
    (
        "staged before the first commit",
        "init; echo a > a; git add a; echo b > b; echo aa >> a",
    ),
    (
        "a detached head with tags",
        r"
        init; for i in 1 2 3; do echo $i > f; commit; git tag t$i; git tag -a -m note a$i; done; git checkout -q t2; echo x > x; git pack-refs --all",
    ),
    (
        "a linked work tree",
        r"
        init main; cd main; echo a > a; echo b > b; commit; git worktree add -q ../linked -b work; cd ../linked; echo c >> a; git add a; echo u > u
        git config user.email there@x; echo $PWD",
    ),
    (
        "a sparse checkout",
        r"
        init; mkdir -p in out/deep; echo 1 > in/a; echo 2 > out/b; echo 3 > out/deep/c; echo 4 > top; commit
        git sparse-checkout set --cone in; echo more >> in/a; echo new > in/new",
    ),
    (
        "a sparse index",
        r"
        init; mkdir -p in out/deep; echo 1 > in/a; echo 2 > out/b; echo 3 > out/deep/c; commit
        git sparse-checkout set --cone --sparse-index in; echo s > in/s; git add in/s",
    ),
    (
        "a sparse checkout by patterns",
        r"
        init; mkdir -p in out; echo 1 > in/a; echo 2 > in/b; echo 3 > out/c; commit
        git sparse-checkout set --no-cone '/in/*' '!/in/b'; rm in/a",
    ),
    (
        "submodules",
        r"
        init lib; cd lib; echo lib > lib; commit; cd ..; init absent; cd absent; echo a > a; commit; cd ..
        init repo; cd repo; echo a > a; commit; git -c protocol.file.allow=always submodule --quiet add ../lib 'the lib'
        git -c protocol.file.allow=always submodule --quiet add ../absent absent; commit; git submodule --quiet deinit -f absent
        cd 'the lib'; echo changed >> lib; echo new > new; git add new; git checkout -q -b topic; commit; echo x > untracked; cd ..; echo m >> a; echo $PWD",
    ),
    (
        "pointers of git-lfs",
        r"
        init; echo '*.bin filter=lfs diff=lfs merge=lfs -text' > .gitattributes
        printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 12345\n' 7 > big.bin; commit; echo x > y",
    ),
    (
        "objects by SHA-256",
        "git init -q -b main --object-format=sha256; echo a > a; commit; echo b > b; git add b; echo c > c",
    ),
    (
        "a shallow clone",
        r"
        init up; cd up; for i in 1 2 3 4 5; do echo $i > f; commit; done; cd ..; git clone -q --depth 3 file://$PWD/up repo; cd repo; echo x >> f; echo $PWD",
    ),
    (
        "an index of parts",
        r"
        init; for i in 1 2 3 4 5; do echo $i > f$i; done; commit; git update-index --split-index; git update-index --untracked-cache
        echo s > f1; git add f1; git update-index --assume-unchanged f2; git update-index --skip-worktree f3; echo x > x; echo y >> f4",
    ),
    (
        "line ends of another system",
        r"
        init; git config core.autocrlf true; printf 'a\r\nb\r\n' > text; printf 'x\r\n' > t2; git add . 2>/dev/null; commit; printf 'c\r\n' >> t2; printf '*.sh eol=lf\n' > .gitattributes; printf 'l\n' > a.sh",
    ),
    (
        "a long history with merges",
        r"
        init; for i in $(seq 15); do echo $i > f; commit; git checkout -q -b b$i; echo $i > b$i; commit; git checkout -q main; git merge -q --no-ff -m m b$i; done; git gc -q; echo x >> f",
    ),
    (
        "a pick that is not finished",
        r"
        init; echo 1 > f; commit; git checkout -q -b o; echo 2 > f; commit; git checkout -q main; echo 3 > f; commit; git cherry-pick o >/dev/null 2>&1 || true",
    ),
    (
        "a place with a name",
        r#"mkdir 'a "b" c'\''d %41 é'; cd 'a "b" c'\''d %41 é'; init; echo a > a; commit; echo b > b; git add b; echo "$PWD""#,
    ),
    (
        "other repositories inside",
        r"
        init; echo a > a; commit; init inner; (cd inner; echo x > x; commit); mkdir -p deep/ly; init deep/ly/empty; echo y > deep/y",
    ),
    (
        "times of long ago",
        r"
        init; echo a > a; touch -d '1971-02-03 04:05:06.123456789' a; commit; echo b > b; touch -d '2037-01-01 00:00:00.5' b; git add b; echo aa > a; touch -d '1971-02-03 04:05:06.123456789' a; git update-index -q --refresh || true",
    ),
];

const SHELL: &str = r#"
set -e
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null HOME=/nonexistent LC_ALL=C
export GIT_AUTHOR_NAME=me GIT_AUTHOR_EMAIL=me@here GIT_COMMITTER_NAME=me GIT_COMMITTER_EMAIL=me@here
init() { git init -q -b main "$@"; }
commit() { git add -A -- "${1-.}" && git commit -q --no-verify --allow-empty -m "commit" ; }
"#;

/// Makes a repository of a kind in `dir`, and gives its work tree.
pub(super) fn make(dir: &Path, kind: &Kind) -> Result<PathBuf> {
    let repo = dir.join("made");
    std::fs::create_dir(&repo)?;
    let output = Command::new("sh")
        .args(["-c", &format!("{SHELL}{}", kind.1)])
        .current_dir(&repo)
        .output()?;
    ensure!(
        output.status.success(),
        "{}: {}{}",
        kind.0,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let printed = String::from_utf8(output.stdout)?;
    match printed.trim_end().lines().next_back() {
        Some(line) if line.starts_with('/') => Ok(PathBuf::from(line)),
        _ => Ok(repo),
    }
}
