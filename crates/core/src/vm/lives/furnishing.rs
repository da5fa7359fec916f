//! What goes into a VM before its first command, with a failure, a caller that leaves and a crash at each step.

use std::process::Command;
use std::time::Instant;

use banger_api::{
    Awaited, ErrorBody, NewSecret, REPOSITORY_LABEL, RepositoryConfig, TrustGrant, TrustRevoke, VmCreate,
    VmCreated, WORKSPACE_LABEL, WishesQuery, WorkspaceRequest,
};
use banger_model::network::NetMode;
use banger_model::{ErrorCode, Phase};
use banger_request::Reporter;

use super::machine::{Step, Trouble};
use super::world::{Daemon, World};
use super::{START, settle, works};

/// What a guest is asked for, in this order.
const FURNISHING: [Step; 4] = [Step::Secret, Step::Look, Step::Write, Step::Session];

/// A repository that asks for a command.
fn repository() -> tempfile::TempDir {
    repository_with("post_create = [\"true\"]\n")
}

/// One that asks for this.
fn repository_with(asked: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("banger.toml"), asked).expect("a file");
    for words in [
        &["init", "-q", "-b", "main"][..],
        &["add", "."],
        &[
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b",
            "commit",
            "-q",
            "-m",
            "first",
        ],
    ] {
        let git = Command::new("git").args(words).current_dir(dir.path()).status();
        assert!(git.expect("git").success(), "{words:?}");
    }
    dir
}

fn of(repository: &tempfile::TempDir) -> WishesQuery {
    WishesQuery {
        path: repository.path().to_owned(),
        ..WishesQuery::default()
    }
}

/// A request for a VM with a secret, the repository, and what it needs.
async fn request(daemon: &Daemon, repository: &tempfile::TempDir) -> Result<VmCreate, ErrorBody> {
    let path = repository.path().to_owned();
    let trusted = TrustGrant {
        path: path.clone(),
        digest: None,
    };
    daemon.vms.trust(trusted).await?;
    let wishes = daemon.vms.wishes(of(repository)).await?;
    Ok(VmCreate {
        name: Some("vm".parse().expect("a name")),
        net: Some(NetMode::Off),
        secrets: vec![NewSecret::new("TOKEN", b"a value".to_vec())],
        workspace: Some(WorkspaceRequest {
            path: path.clone(),
            guest_path: "/root/repo".to_owned(),
            ..WorkspaceRequest::default()
        }),
        repository: wishes.digest.map(|digest| RepositoryConfig { path, digest }),
        bootstrap: true,
        ..VmCreate::default()
    })
}

async fn create(daemon: &Daemon, repository: &tempfile::TempDir) -> Result<VmCreated, ErrorBody> {
    let request = request(daemon, repository).await?;
    daemon
        .vms
        .create(request, &Reporter::default(), Instant::now())
        .await
}

#[test]
fn a_vm_gets_its_secrets_then_its_workspace_then_what_that_needs() {
    let (world, repository) = (World::new(), repository());
    let daemon = world.daemon();
    let made = daemon.run(create(&daemon, &repository)).expect("a VM");
    let furnished = |step: &Step| FURNISHING.contains(step) || START.contains(step);
    let begun: Vec<Step> = world.vmm.begun().into_iter().filter(furnished).collect();
    assert_eq!(begun, [&START[..], &FURNISHING].concat());
    assert!(made.bootstrap, "{made:?}");
    assert_eq!(made.workspace.expect("a workspace").files, 1);
    assert!(
        !made.vm.removes_on_exit && !made.vm.unfinished,
        "it goes with nobody"
    );
    assert_eq!(made.vm.secrets, ["TOKEN"]);
    assert_eq!(made.vm.labels[WORKSPACE_LABEL], "/root/repo");
    let root = repository.path().canonicalize().expect("a path");
    assert_eq!(made.vm.labels[REPOSITORY_LABEL], root.to_string_lossy());
    // It stays with the next daemon, too.
    drop(daemon);
    let next = world.daemon();
    assert_eq!(next.phase("vm"), Some(Phase::Running));
    let handle = next.vms.find("vm").expect("it is there");
    assert!(!handle.view(next.vms.context()).removes_on_exit);
    world.check(&next, "made");
    // Without force it is kept: it runs.
    let refused = next.run(next.vms.delete("vm", false)).expect_err("it runs");
    assert_eq!(refused.code, ErrorCode::WrongPhase);
    next.run(next.vms.delete("vm", true)).expect("it goes");
    world.check(&next, "deleted");
}

#[test]
fn a_failure_at_each_step_leaves_no_vm_but_what_is_only_begun() {
    let (world, repository) = (World::new(), repository());
    let daemon = world.daemon();
    for step in FURNISHING {
        let case = format!("{step:?} fails");
        world.vmm.set(step, Some(Trouble::Fails));
        let made = daemon.run(create(&daemon, &repository));
        world.vmm.set(step, None);
        if step == Step::Session {
            // An image without a shell has a checkout all the same.
            let made = made.expect(&case);
            assert!(!made.bootstrap && made.workspace.is_some(), "{case}: {made:?}");
            daemon.run(daemon.vms.delete("vm", true)).expect(&case);
        } else {
            let error = made.expect_err(&case);
            assert_eq!(error.code, ErrorCode::Guest, "{case}: {error:?}");
        }
        assert_eq!(daemon.phase("vm"), None, "{case}");
        world.check(&daemon, &case);
        world.create(&daemon, "vm");
        works(&world, &daemon, &case);
    }
    // A VM that is refused the last write of its creation is none either.
    let case = "the record is refused";
    world.refuse_keeping();
    daemon.run(create(&daemon, &repository)).expect_err(case);
    world.allow_keeping();
    assert_eq!(daemon.phase("vm"), None, "{case}");
    world.check(&daemon, case);
}

#[test]
fn a_caller_that_leaves_at_each_step_leaves_no_vm() {
    let (world, repository) = (World::new(), repository());
    let daemon = world.daemon();
    for step in START.into_iter().chain(FURNISHING) {
        let case = format!("the caller leaves at {step:?}");
        world.vmm.set(step, Some(Trouble::Stands));
        daemon.run(async {
            tokio::select! {
                made = create(&daemon, &repository) => panic!("{case}: {made:?}"),
                () = world.vmm.stands() => {}
            }
        });
        world.vmm.set(step, None);
        world.until(&daemon, "vm", &[None], &case);
        settle(&daemon);
        world.check(&daemon, &case);
        world.create(&daemon, "vm");
        works(&world, &daemon, &case);
    }
}

#[test]
fn a_daemon_that_dies_at_each_step_leaves_no_vm_to_the_next_one() {
    let cases = FURNISHING
        .into_iter()
        .flat_map(|step| [(step, true), (step, false)]);
    for (step, ends) in cases {
        let case = format!(
            "the daemon dies at {step:?}, and the machine {}",
            if ends { "ends" } else { "runs on" }
        );
        let (world, repository) = (World::new(), repository());
        let daemon = world.daemon();
        world.vmm.set(step, Some(Trouble::Stands));
        let vms = std::sync::Arc::clone(&daemon.vms);
        let wanted = daemon.run(request(&daemon, &repository)).expect(&case);
        daemon.run(async {
            // It ends with the daemon, which does nothing more for it.
            tokio::spawn(async move { vms.create(wanted, &Reporter::default(), Instant::now()).await });
            world.vmm.stands().await;
        });
        let view = |daemon: &Daemon| {
            daemon
                .vms
                .find("vm")
                .map(|handle| handle.view(daemon.vms.context()))
        };
        let meanwhile = view(&daemon).expect(&case);
        assert!(
            meanwhile.unfinished && !meanwhile.removes_on_exit,
            "{case}: {meanwhile:?}"
        );
        drop(daemon);
        world.vmm.set(step, None);
        // Whether its machine goes with the host or runs on, the next daemon removes it before it answers anybody.
        if ends {
            world.vmm.end_all();
        }
        let next = world.daemon();
        assert!(view(&next).is_err(), "{case}: it is there");
        settle(&next);
        world.check(&next, &case);
    }
}

#[test]
fn what_cannot_be_given_is_refused_before_anything_is_made() {
    let (world, repository) = (World::new(), repository());
    let daemon = world.daemon();
    let wanted = daemon.run(request(&daemon, &repository)).expect("a request");
    let nowhere = tempfile::tempdir().expect("a directory");
    let workspace = |path: &std::path::Path| {
        wanted.workspace.clone().map(|workspace| WorkspaceRequest {
            path: path.to_owned(),
            ..workspace
        })
    };
    let secret = |name: &str, value: &str, encoding| NewSecret {
        name: name.to_owned(),
        value: value.to_owned(),
        encoding,
    };
    use banger_api::SecretEncoding::{Hex, Text};
    let cases = [
        VmCreate {
            no_start: true,
            ..wanted.clone()
        },
        VmCreate {
            workspace: workspace(nowhere.path()),
            ..wanted.clone()
        },
        VmCreate {
            secrets: vec![secret("../x", "a", Text)],
            ..wanted.clone()
        },
        VmCreate {
            secrets: vec![secret("X", "0", Hex)],
            ..wanted.clone()
        },
        VmCreate {
            secrets: vec![secret("X", &"a".repeat((1 << 20) + 1), Text)],
            ..wanted.clone()
        },
    ];
    world.vmm.begun();
    for request in cases {
        let case = format!("{request:?}");
        assert!(!case.contains("a value"), "a secret is printed: {case}");
        let made = daemon.run(daemon.vms.create(request, &Reporter::default(), Instant::now()));
        assert_eq!(made.expect_err(&case).code, ErrorCode::InvalidRequest, "{case}");
        assert_eq!(daemon.phase("vm"), None, "{case}");
        assert_eq!(world.vmm.begun(), [], "{case}");
    }
    world.check(&daemon, "refused");
}

#[test]
fn a_wait_for_the_preparation_ends_with_it_whatever_the_client_is() {
    let (world, repository) = (World::new(), repository());
    let daemon = world.daemon();
    world.vmm.set(Step::Prepare, Some(Trouble::Stands));
    let made = daemon.run(create(&daemon, &repository)).expect("a VM");
    assert!(made.bootstrap);
    let wait = || daemon.vms.wait("vm", Awaited::Prepared);
    daemon.run(async {
        tokio::select! {
            waited = wait() => panic!("its checkout is being prepared: {waited:?}"),
            () = world.vmm.stands() => {}
        }
    });
    world.vmm.set(Step::Prepare, None);
    let waited = daemon.run(wait()).expect("it has ended");
    assert_eq!(waited.phase, Some(Phase::Running));
    let session = waited.bootstrap.expect("it was prepared");
    assert_eq!((session.exit_code, session.state.is_live()), (Some(3), false));
    // Without a preparation the wait ends at once. An error of the guest is returned.
    world.vmm.set(Step::Prepare, Some(Trouble::Lies));
    assert_eq!(daemon.run(wait()).expect("at once").bootstrap, None);
    world.vmm.set(Step::Prepare, Some(Trouble::Fails));
    assert_eq!(daemon.run(wait()).expect_err("it fails").code, ErrorCode::Guest);
    world.vmm.set(Step::Prepare, None);
    // A wait for the guest alone sends no request to the guest.
    world.vmm.begun();
    let waited = daemon
        .run(daemon.vms.wait("vm", Awaited::Running))
        .expect("it runs");
    assert_eq!((waited.bootstrap, world.vmm.begun()), (None, Vec::new()));
}

#[test]
fn what_a_repository_asks_for_is_applied_only_after_its_user_trusts_this_very_configuration() {
    let (world, repository) = (World::new(), repository_with("vcpus = 1\nenv = { A = \"b\" }\n"));
    let daemon = world.daemon();
    let wishes = |daemon: &Daemon| daemon.run(daemon.vms.wishes(of(&repository))).expect("wishes");
    let asked = wishes(&daemon);
    assert!(asked.needs_trust && !asked.trusted, "{asked:?}");
    let path = asked.root.clone().expect("a root");
    let digest = asked.digest.clone().expect("a digest");
    let create = |digest: &str| {
        let request = VmCreate {
            name: Some("vm".parse().expect("a name")),
            net: Some(NetMode::Off),
            no_start: true,
            repository: Some(RepositoryConfig {
                path: path.clone(),
                digest: digest.to_owned(),
            }),
            ..VmCreate::default()
        };
        daemon.run(daemon.vms.create(request, &Reporter::default(), Instant::now()))
    };
    let trust = |digest: Option<&str>| {
        let grant = TrustGrant {
            path: path.clone(),
            digest: digest.map(str::to_owned),
        };
        daemon.run(daemon.vms.trust(grant))
    };
    let refused = create(&digest).expect_err("it is not trusted");
    assert_eq!(refused.code, ErrorCode::WrongPhase);
    assert_eq!(
        trust(Some("another")).expect_err("it is another").code,
        ErrorCode::WrongPhase
    );
    assert!(!wishes(&daemon).trusted);
    trust(Some(&digest)).expect("it is this one");
    let trusted = wishes(&daemon);
    assert!(trusted.trusted && !trusted.needs_trust, "{trusted:?}");
    let made = create(&digest).expect("a VM").vm;
    assert_eq!((made.vcpus, &*made.env["A"]), (1, "b"));
    assert_eq!(
        daemon
            .run(daemon.vms.delete("vm", false))
            .expect("it goes")
            .pulled,
        []
    );
    // Through a link it is the same repository.
    let link = tempfile::tempdir().expect("a directory");
    let linked = link.path().join("link");
    std::os::unix::fs::symlink(&path, &linked).expect("a link");
    let through = VmCreate {
        name: Some("vm".parse().expect("a name")),
        no_start: true,
        repository: Some(RepositoryConfig {
            path: linked,
            digest: digest.clone(),
        }),
        ..VmCreate::default()
    };
    daemon
        .run(daemon.vms.create(through, &Reporter::default(), Instant::now()))
        .expect("a VM");
    // Its user's files go into it while it is trusted.
    let spec = || daemon.vms.find("vm").expect("it is there").state().spec;
    let apart = || crate::trust::keeps_apart(&daemon.vms.context().database, &spec());
    assert_eq!(apart(), None);
    let its = TrustRevoke {
        path: Some(path.clone()),
    };
    daemon.run(daemon.vms.distrust(its)).expect("records");
    assert!(apart().expect("they stay out").contains("no longer trusted"));
    trust(Some(&digest)).expect("it is this one");
    assert_eq!(apart(), None);
    daemon.run(daemon.vms.delete("vm", false)).expect("it goes");
    // Another configuration is not trusted by that, and what was looked at is not taken for what is there.
    std::fs::write(
        repository.path().join("banger.toml"),
        "vcpus = 1\nenv = { A = \"c\" }\n",
    )
    .expect("a file");
    assert_eq!(
        create(&digest).expect_err("it changed").code,
        ErrorCode::WrongPhase
    );
    let changed = wishes(&daemon);
    assert!(changed.needs_trust);
    let changed = changed.digest.expect("a digest");
    assert_eq!(
        create(&changed).expect_err("it is not trusted").code,
        ErrorCode::WrongPhase
    );
    // Trust that is taken back is gone. Until then what is there is trusted, and yet not what was looked at.
    trust(None).expect("as it is");
    let other = create(&digest).expect_err("it is another");
    assert!(other.message.contains("has changed"), "{other:?}");
    assert_eq!(daemon.run(daemon.vms.trusted()).expect("records").len(), 2);
    let all = TrustRevoke { path: None };
    assert_eq!(daemon.run(daemon.vms.distrust(all)).expect("records").len(), 2);
    assert_eq!(create(&changed).expect_err("no more").code, ErrorCode::WrongPhase);
    world.check(&daemon, "trust");
}

#[test]
fn the_image_that_a_trusted_repository_asks_for_is_looked_for_here() {
    let (world, repository) = (World::new(), repository_with("image = \"wanted\"\n"));
    let daemon = world.daemon();
    let request = daemon.run(request(&daemon, &repository)).expect("a request");
    let create = |request: &VmCreate| {
        let request = VmCreate {
            workspace: None,
            secrets: Vec::new(),
            no_start: true,
            ..request.clone()
        };
        daemon.run(daemon.vms.create(request, &Reporter::default(), Instant::now()))
    };
    let missing = create(&request).expect_err("there is no such image");
    assert_eq!(missing.code, ErrorCode::NotFound);
    assert!(
        missing.hints[0].contains("banger image pull wanted"),
        "{missing:?}"
    );
    let wished = |daemon: &Daemon| {
        let wishes = daemon.run(daemon.vms.wishes(of(&repository))).expect("wishes");
        wishes.image.expect("an image")
    };
    assert_eq!(wished(&daemon).here, None);
    let (test, wanted) = ("test".parse().expect("a name"), "wanted".parse().expect("a name"));
    let images = &daemon.vms.context().images;
    images.tag(&test, &wanted, false).expect("a tag");
    assert_eq!(wished(&daemon).here.as_ref(), Some(&wanted));
    assert_eq!(create(&request).expect("a VM").vm.image, wanted);
    daemon.run(daemon.vms.delete("vm", false)).expect("it goes");
    // Who names one means it.
    let named = VmCreate {
        image: Some(test.clone()),
        ..request
    };
    assert_eq!(create(&named).expect("a VM").vm.image, test);
}
