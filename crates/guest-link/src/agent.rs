//! The agent of a running machine, and what only its host asks of it.

use std::sync::Arc;
use std::time::Duration;

use banger_guest_api::{
    Configure, Connect, Exec, Health, Listen, Listener, Ready, SSH, STDIO_MUX, Shutdown, Ssh, TUNNEL, Take,
    routes,
};
use banger_wire::{Body, Incoming, next_chunk};
use http::{Method, Request};

use crate::budget;
use crate::client::{Client, bare, json};
use crate::dial::Dial;
use crate::error::Error;
use crate::events::Events;
use crate::stream::AgentStream;

/// The agent of a running machine.
#[derive(Debug, Clone)]
pub struct Agent {
    pub(crate) client: Client,
}

/// A VM's disk at rest; it goes on when this is dropped.
#[derive(Debug)]
pub struct Frozen(Incoming);

impl Frozen {
    /// Whether it has been frozen all the time.
    pub async fn held(mut self) -> bool {
        // The guest says nothing more until it gives up.
        tokio::time::timeout(Duration::ZERO, next_chunk(&mut self.0))
            .await
            .is_err()
    }
}

impl Agent {
    /// The agent at the end of `way`, which has said hello.
    pub fn new(way: Arc<dyn Dial>) -> Self {
        Self {
            client: Client::new(way),
        }
    }

    /// Sends the one configuration of a boot, and waits until the guest is ready.
    ///
    /// # Errors
    /// When the agent is not reached, or cannot.
    pub async fn configure(&self, configure: &Configure) -> Result<Ready, Error> {
        let request = json(Method::POST, routes::CONFIGURE, configure);
        let ready = self.client.answer("configure itself", request);
        ready.await.map(budget::ready)
    }

    /// Asks whether the agent lives; like every request, it says what time it is.
    ///
    /// # Errors
    /// When it does not.
    pub async fn health(&self) -> Result<Health, Error> {
        let request = bare(Method::GET, routes::HEALTH);
        self.client.answer("answer a health check", request).await
    }

    /// Freezes the VM's disk until what is given is dropped, or for a minute.
    ///
    /// # Errors
    /// When the agent is not reached, or cannot.
    pub async fn freeze(&self) -> Result<Frozen, Error> {
        let asked = "freeze its disk";
        let request = bare(Method::POST, routes::FREEZE);
        let mut body = self.client.send(asked, request).await?.into_body();
        // The line that says that it is frozen.
        match next_chunk(&mut body).await {
            Ok(Some(_)) => Ok(Frozen(body)),
            Ok(None) => Err(Error::Ended { asked }),
            Err(source) => Err(Error::Http { asked, source }),
        }
    }

    /// Asks for a clean power-off; returns once the agent has taken the request.
    ///
    /// # Errors
    /// When the agent is not reached.
    pub async fn shutdown(&self, grace_ms: u64) -> Result<(), Error> {
        let request = json(Method::POST, routes::SHUTDOWN, &Shutdown { grace_ms });
        self.client.send("power off", request).await.map(drop)
    }

    /// What listens in the guest; `http` asks each TCP port whether it speaks HTTP.
    ///
    /// # Errors
    /// When the agent is not reached, or cannot tell.
    pub async fn ports(&self, http: bool) -> Result<Vec<Listener>, Error> {
        let query = if http { "?http=true" } else { "" };
        let request = bare(Method::GET, &format!("{}{query}", routes::PORTS));
        self.client.answer("list its listening ports", request).await
    }

    /// What happens in the guest, from its current state on.
    ///
    /// # Errors
    /// When the agent is not reached.
    pub async fn events(&self) -> Result<Events, Error> {
        let request = bare(Method::GET, routes::EVENTS);
        let response = self.client.send("stream its events", request).await?;
        Ok(Events::of(response.into_body()))
    }

    /// Starts a command; what comes back carries its frames.
    ///
    /// # Errors
    /// When the agent is not reached.
    pub async fn exec(&self, exec: &Exec) -> Result<AgentStream, Error> {
        let request = json(Method::POST, routes::EXEC, exec);
        self.client.stream("run a command", request, STDIO_MUX).await
    }

    /// Connects to a port of the guest.
    ///
    /// # Errors
    /// When the agent is not reached, or nothing listens there.
    pub async fn connect(&self, connect: &Connect) -> Result<AgentStream, Error> {
        let request = json(Method::POST, routes::CONNECT, connect);
        self.tunnel("connect to a port", request).await
    }

    /// Lets the guest listen at a port as long as the tunnel is kept, which brings a token for each connection.
    ///
    /// # Errors
    /// When the agent is not reached, or cannot listen there.
    pub async fn listen(&self, listen: &Listen) -> Result<AgentStream, Error> {
        let request = json(Method::POST, routes::LISTEN, listen);
        self.tunnel("listen on a port", request).await
    }

    /// Takes a connection that such a port got.
    ///
    /// # Errors
    /// When the agent is not reached, or has no such connection.
    pub async fn take(&self, take: &Take) -> Result<AgentStream, Error> {
        let request = json(Method::POST, routes::TAKE, take);
        self.tunnel("hand over a connection", request).await
    }

    /// Starts an SSH server; what comes back carries SSH.
    ///
    /// # Errors
    /// When the agent is not reached.
    pub async fn ssh(&self, ssh: &Ssh) -> Result<AgentStream, Error> {
        let request = json(Method::POST, routes::SSH, ssh);
        self.client.stream("serve SSH", request, SSH).await
    }

    async fn tunnel(&self, asked: &'static str, request: Request<Body>) -> Result<AgentStream, Error> {
        self.client.stream(asked, request, TUNNEL).await
    }
}
