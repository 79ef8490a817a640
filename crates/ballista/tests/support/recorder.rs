//! Wires that write down what goes over them, in both directions.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// All bytes of one direction of one connection.
type Tape = Arc<Mutex<Vec<u8>>>;

/// A port that hands everything on to another one, and writes it down.
pub(crate) struct Recorder {
    listener: Option<TcpListener>,
    pub(crate) address: SocketAddr,
    tapes: Arc<Mutex<Vec<Tape>>>,
}

impl Recorder {
    /// A free port, which takes connections once it knows where they are to go.
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener: Some(listener), address, tapes: Arc::default() }
    }

    /// Hands on to `target` from here on.
    pub(crate) fn connect(&mut self, target: SocketAddr) {
        let (listener, tapes) = (self.listener.take().unwrap(), Arc::clone(&self.tapes));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // Who is not there yet is asked for again.
                let Ok(server) = TcpStream::connect(target) else { continue };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let tape = Tape::default();
                    tapes.lock().unwrap().push(Arc::clone(&tape));
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    thread::spawn(move || {
                        drop(copy(&from, &to, &tape));
                        drop(to.shutdown(Shutdown::Write));
                    });
                }
            }
        });
    }

    /// What has gone over each connection so far, each direction by itself.
    pub(crate) fn tapes(&self) -> Vec<Vec<u8>> {
        self.tapes.lock().unwrap().iter().map(|tape| tape.lock().unwrap().clone()).collect()
    }
}

fn copy(mut from: &TcpStream, mut to: &TcpStream, tape: &Tape) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let n = from.read(&mut buffer)?;
        if n == 0 {
            return Ok(());
        }
        // Before anybody can act on it.
        tape.lock().unwrap().extend_from_slice(&buffer[..n]);
        to.write_all(&buffer[..n])?;
    }
}
