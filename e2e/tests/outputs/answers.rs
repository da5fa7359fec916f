//! What the canned daemon answers.

use anyhow::Result;
use banger_api::{ApiVersion, Version};
use banger_model::ErrorCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::daemon::Answers;
use crate::failing;

/// An error of each code, as the daemon sends it: message, cause, hints.
const ERRORS: [(ErrorCode, &str, &[&str], &[&str]); 14] = [
    (
        ErrorCode::InvalidRequest,
        "invalid network rule \"foo:\": expected a port after the colon",
        &[],
        &["`banger help networking` has the syntax of rules"],
    ),
    (
        ErrorCode::NotFound,
        "no VM \"web\"",
        &[],
        &["`banger vm list` lists all VMs"],
    ),
    (
        ErrorCode::AlreadyExists,
        "VM \"web\" already exists",
        &[],
        &["choose another name, or delete it: `banger vm delete web`"],
    ),
    (
        ErrorCode::InUse,
        "image \"debian-bookworm\" is used by VM \"web\"",
        &[],
        &["delete the VM first: `banger vm delete web`"],
    ),
    (
        ErrorCode::WrongPhase,
        "VM \"web\" is stopped",
        &[],
        &["start it: `banger vm start web`"],
    ),
    (
        ErrorCode::Unsupported,
        "kernel \"debian\" has no driver that Firecracker needs",
        &["virtio_mmio is missing"],
        &["use QEMU: `--vmm qemu`"],
    ),
    (
        ErrorCode::Host,
        "failed to open /dev/kvm",
        &["Permission denied (os error 13)"],
        &["`banger doctor` examines this host"],
    ),
    (
        ErrorCode::Vmm,
        "Firecracker ended with exit code 148 before the guest was ready",
        &[],
        &["see its log: `banger vm logs --vmm web`"],
    ),
    (
        ErrorCode::Guest,
        "timed out after 30 s waiting for the guest to boot",
        &[],
        &["see its console: `banger vm logs web`"],
    ),
    (
        ErrorCode::BadInput,
        "failed to read the archive layer.tar",
        &["invalid header checksum at byte 1024"],
        &[],
    ),
    (
        ErrorCode::Timeout,
        "timed out after 5 m waiting for VM \"web\" to stop",
        &[],
        &["stop it at once: `banger vm kill web`"],
    ),
    (ErrorCode::Cancelled, "the request was cancelled", &[], &[]),
    (
        ErrorCode::VersionMismatch,
        "this banger is older than the daemon",
        &[],
        &["install the same version of both"],
    ),
    (
        ErrorCode::Internal,
        "failed to read the database",
        &["database disk image is malformed"],
        &[],
    ),
];

/// A time so long ago, such that its age is the same during the test.
fn ago(days: i64, hours: i64) -> String {
    let past = SignedDuration::from_hours(24 * days + hours) + SignedDuration::from_mins(30);
    let then = Timestamp::now() - past;
    then.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

pub(crate) fn all() -> Result<Answers> {
    let mut answers = Answers::new();
    let mut ok = |request: &str, body: Value| drop(answers.insert(request.to_owned(), (200, body)));
    ok("GET /v1/version", version()?);
    ok("GET /v1/vms", json!([web(), old(), long()]));
    ok("GET /v1/vms/web", web());
    ok(
        "POST /v1/vms/web/stop",
        merged(stopped(web()), json!({ "work": { "pulled": [], "left": [] } })),
    );
    ok("POST /v1/vms/web/kill", stopped(web()));
    ok("PATCH /v1/vms/web", web());
    ok(
        "POST /v1/vms/old/rename",
        merged(old(), json!({ "name": "older", "named_by": ["web"] })),
    );
    ok("GET /v1/vms/web/ports", ports());
    ok(
        "GET /v1/vms/web/sessions",
        json!([session("srv", 0), session("a-longer-name", 3)]),
    );
    ok("GET /v1/vms/web/sessions/srv", session("srv", 0));
    ok("GET /v1/vms/web/egress", egress());
    ok(
        "GET /v1/vms/web/egress/learned",
        json!({ "rules": ["deb.local.test:80", "*.example.org:443"], "complete": true, "mode": "learn" }),
    );
    ok("GET /v1/vms/web/workspace", workspace());
    ok(
        "GET /v1/forwards",
        json!([
            forward("listening", None),
            forward("failed", Some("port 8080 is in use"))
        ]),
    );
    stores(&mut ok);
    host(&mut ok);
    for (code, message, causes, hints) in ERRORS {
        let id = (code == ErrorCode::Internal).then_some("7f3a9c21");
        let body =
            json!({ "code": code, "message": message, "causes": causes, "hints": hints, "request_id": id });
        answers.insert(
            format!("GET /v1/vms/{}", failing(code)?),
            (code.http_status(), body),
        );
    }
    Ok(answers)
}

fn version() -> Result<Value> {
    Ok(serde_json::to_value(Version {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api: ApiVersion::CURRENT,
        build: "0".to_owned(),
        pid: 4711,
        machines: 1,
        streams: 0,
        groups: None,
    })?)
}

/// An object with some keys of another.
fn merged(mut object: Value, other: Value) -> Value {
    if let (Some(object), Value::Object(other)) = (object.as_object_mut(), other) {
        object.extend(other);
    }
    object
}

fn vm(name: &str, phase: &str) -> Value {
    json!({
        "id": "0123456789abcdef", "name": name, "phase": phase, "image": "debian-bookworm", "kernel": "debian",
        "vcpus": 2, "memory": 4_u64 << 30, "disk_size": 40_u64 << 30, "disk_used": 1_288_490_189, "vmm": "auto",
        "machine": null, "env": {}, "labels": {}, "created": ago(3, 2), "last_error": null,
    })
}

fn web() -> Value {
    let machine = json!({
        "vmm": "firecracker", "acceleration": "kvm", "fallback": null, "pid": 4712, "started": ago(0, 5),
        "os": "Debian GNU/Linux 12 (bookworm)", "kernel_release": "6.1.0-41-cloud-amd64", "init": "systemd",
        "init_state": "up", "stages_micros": { "plan": 1200, "disk": 300, "vmm": 9100, "kernel": 61_000, "agent": 8000 },
    });
    merged(
        vm("web", "running"),
        json!({
            "machine": machine, "env": { "COLOR": "blue" }, "labels": { "team": "core" },
            "forwards": [forward("listening", None)], "repository": "/home/sam/my-repo",
            "network": { "mode": "allow", "allow": ["deb.local.test:80"], "addresses": ["172.16.0.2"], "by": "helper" },
        }),
    )
}

fn old() -> Value {
    let error = json!({ "code": "guest", "message": "the guest rebooted", "causes": [], "hints": [] });
    merged(
        vm("old", "failed"),
        json!({ "last_error": error, "created": ago(90, 0) }),
    )
}

fn long() -> Value {
    let image = "registry.example-owner-tools-with-a-long-name";
    merged(
        stopped(vm("brave-otter-of-the-north", "stopped")),
        json!({ "image": image }),
    )
}

fn stopped(vm: Value) -> Value {
    merged(vm, json!({ "phase": "stopped", "machine": null }))
}

fn forward(state: &str, reason: Option<&str>) -> Value {
    json!({
        "vm": "web", "forward": { "direction": "publish", "host_port": 8080, "guest_port": 80, "protocol": "tcp" },
        "state": state, "reason": reason, "open": 2, "connections": 1840, "refused": 0,
    })
}

fn ports() -> Value {
    json!([
        {
            "protocol": "tcp", "address": "0.0.0.0", "port": 80, "process": { "pid": 412, "command": "nginx" },
            "http": { "status": 200, "server": "nginx/1.22.1" }, "link": "http://127.0.0.1:8080", "reachable": true,
        },
        {
            "protocol": "udp", "address": "::", "port": 5353, "process": { "pid": 97, "command": "avahi-daemon" },
            "http": null, "link": null, "reachable": true,
        },
    ])
}

fn session(name: &str, code: i32) -> Value {
    let ended = code != 0;
    json!({
        "name": name, "command": ["python3", "-m", "http.server", "80"], "cwd": "/srv", "user": null, "tty": false,
        "takes_input": false, "restarts_on_failure": true, "state": if ended { "exited" } else { "running" },
        "pid": 1200, "started_ms": started(), "ended_ms": ended.then(started), "exit_code": ended.then_some(code),
        "signal": null, "restarts": 1, "usage": null,
        "log": { "start": 0, "end": 12_900_000, "lost": 0, "max_bytes": 67_108_864 }, "clients": 1, "is_written_to": false,
    })
}

fn started() -> u64 {
    let started = Timestamp::now() - SignedDuration::from_hours(5) - SignedDuration::from_mins(30);
    u64::try_from(started.as_millisecond()).unwrap_or_default()
}

fn egress() -> Value {
    let flow = |verdict: &str, target: &str, port: u16, why: &str, rule: Option<&str>, count: u64| {
        json!({
            "verdict": verdict, "target": target, "address": "93.184.216.34", "port": port, "protocol": "tcp", "why": why,
            "rule": rule, "allow": rule.is_none().then(|| format!("{target}:{port}")), "count": count,
            "first": ago(0, 4), "last": ago(0, 2),
        })
    };
    json!([
        flow(
            "allowed",
            "deb.local.test",
            80,
            "rule",
            Some("deb.local.test:80"),
            14
        ),
        flow(
            "denied",
            "telemetry.a-very-long-name.example.org",
            443,
            "off",
            None,
            3
        ),
    ])
}

fn workspace() -> Value {
    json!({
        "guest_path": "/root/repo", "source": "/home/sam/my-repo", "branch": "try",
        "head": "3f2a91c7d0e84b5f9a6c1122334455667788990a", "commits": 2, "unsaved": true,
        "changes": [{ "status": "M", "path": "notes.txt" }, { "status": "A", "path": "built.txt" }],
    })
}

fn stores(ok: &mut impl FnMut(&str, Value)) {
    let image = |name: &str, bytes: u64, is_default: bool| {
        json!({
            "name": name, "managed": true, "layers": [format!("/home/sam/images/{name}.img")], "work_seed": null,
            "kernel": null, "os": "Debian GNU/Linux 12 (bookworm)", "init": "systemd", "config": null,
            "origin": { "reference": "docker.io/library/debian:bookworm", "platform": "linux/amd64", "digest": null },
            "created": ago(12, 0), "bytes": bytes, "used_by": ["web"], "default": is_default,
        })
    };
    let debian = image("debian-bookworm", 327_155_712, true);
    ok(
        "GET /v1/images",
        json!([
            debian.clone(),
            image("registry.example-owner-tools", 1_503_238_554, false)
        ]),
    );
    let history = json!({ "history": [
        { "created": ago(40, 0), "created_by": "debian.sh --arch 'amd64' out/ 'bookworm'", "empty_layer": false },
        { "created": ago(40, 0), "created_by": "CMD [\"bash\"]", "empty_layer": true },
    ] });
    ok(
        "GET /v1/images/debian-bookworm/inspect",
        json!({ "image": debian.clone(), "manifest": null, "configuration": history }),
    );
    ok("GET /v1/images/debian-bookworm", debian);
    let kernel = json!({
        "name": "debian", "version": "6.1.0-41-cloud-amd64", "source": "linux-image-cloud-amd64", "modules": [],
        "initrd": true, "append": ["quiet"], "max_vcpus": null, "supports": ["firecracker", "qemu"], "bytes": 32_505_856,
        "used_by": ["web", "old"], "default": true,
    });
    ok("GET /v1/kernels", json!([kernel.clone()]));
    ok("GET /v1/kernels/debian", kernel);
    let key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    ok(
        "GET /v1/catalogs",
        json!([{ "name": "team", "location": "https://kernels.example/v1/", "key": key, "in_config": true }]),
    );
    let offered = json!({
        "catalog": "team", "name": "generic-6.12", "arch": "x86_64", "description": "A kernel with everything built in",
        "bytes": 14_680_064, "sha256": "0".repeat(64), "here": "here",
    });
    let kernel = json!({ "distro": "Debian", "version": "6.12.1", "append": [], "max_vcpus": null });
    ok(
        "GET /v1/catalog/kernels",
        json!({ "kernels": [merged(offered.clone(), kernel)], "failures": [] }),
    );
    let image = json!({ "os": "Debian GNU/Linux 12 (bookworm)", "kernel": "generic-6.12", "name": "tools" });
    ok(
        "GET /v1/catalog/images",
        json!({ "images": [merged(offered, image)], "failures": [] }),
    );
}

fn host(ok: &mut impl FnMut(&str, Value)) {
    let usage = |kind: &str, name: &str, bytes: u64, reclaimable: u64, used_by: &[&str]| {
        json!({
            "kind": kind, "count": 2, "used": 1, "bytes": bytes, "reclaimable": reclaimable,
            "objects": [{
                "name": name, "bytes": bytes, "reclaimable": reclaimable, "is_used": !used_by.is_empty(), "used_by": used_by,
            }],
        })
    };
    let kinds = [
        usage(
            "images",
            "debian-bookworm",
            1_830_394_266,
            1_503_238_554,
            &["web", "brave-otter-of-the-north"],
        ),
        usage(
            "layers",
            "sha256:0123456789ab",
            327_155_712,
            0,
            &["debian-bookworm"],
        ),
        usage("kernels", "debian", 32_505_856, 0, &["web"]),
        usage("vms", "old", 2_576_980_378, 1_288_490_189, &[]),
        usage("caches", "downloads", 105_906_176, 105_906_176, &[]),
    ];
    ok("GET /v1/usage", json!({ "kinds": kinds }));
    let record = |path: &str, state: &str| json!({ "path": path, "digest": "3f2a91c7d0e84b5f9a6c", "source": "banger.toml", "since": ago(9, 0), "state": state });
    ok(
        "GET /v1/trust",
        json!([
            record("/home/sam/my-repo", "current"),
            record(
                "/home/sam/src/github.com/example/a-repository-with-a-long-name",
                "changed"
            ),
        ]),
    );
    ok(
        "GET /v1/doctor",
        json!({
            "verdict": "VMs run under Firecracker, with KVM.", "usable": true,
            "checks": [
                // Not what differs between the daemon and a program of this host, such as KVM: the command compares both.
                { "name": "space", "status": "ok", "message": "12 GiB are free for VMs" },
                {
                    "name": "network", "status": "warning", "message": "passt is not installed: VMs have no network",
                    "fix": "sudo apt-get install passt",
                },
                { "name": "kernels", "status": "failed", "message": "there is no kernel", "fix": "banger setup" },
            ],
        }),
    );
}
