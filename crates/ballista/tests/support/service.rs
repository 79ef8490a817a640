//! A service of embeddings that wants a key, and repeats it to whoever asks for a model that it does not have.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use super::disguises::{base64_of, holds};

/// Numbers of a vector.
pub(crate) const WIDTH: usize = 8;

/// The service. Its threads end with the test's process.
pub(crate) struct Service {
    pub(crate) url: String,
    served: Arc<AtomicUsize>,
}

impl Service {
    /// Serves whoever shows a key that begins with `key`.
    pub(crate) fn start(key: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let served = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&served);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let served = Arc::clone(&counted);
                thread::spawn(move || drop(speak(&stream, key, &served)));
            }
        });
        Self { url, served }
    }

    /// How many requests came with the key.
    pub(crate) fn served(&self) -> usize {
        self.served.load(SeqCst)
    }
}

fn speak(mut stream: &TcpStream, key: &str, served: &AtomicUsize) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let (mut shown, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                if line.trim().is_empty() {
                    break;
                }
                continue;
            };
            match name.to_ascii_lowercase().as_str() {
                "authorization" => value.strip_prefix("Bearer ").unwrap_or_default().clone_into(&mut shown),
                "content-length" => length = value.parse().unwrap(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let (status, text) = if !shown.starts_with(key) {
            ("401 Unauthorized", "{\"error\": {\"message\": \"this is no key\"}}".to_owned())
        } else if holds(&body, b"\"refused\"") {
            ("403 Forbidden", format!("{{\"error\": {{\"message\": \"the key {shown} may not use this model\"}}}}"))
        } else {
            served.fetch_add(1, SeqCst);
            let numbers: Vec<u8> = (0..WIDTH).flat_map(|i| (i as f32 + 1.0).to_le_bytes()).collect();
            let vector = base64_of(&numbers);
            ("200 OK", format!("{{\"data\": [{{\"index\": 0, \"embedding\": \"{vector}\"}}]}}"))
        };
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        )?;
    }
}
