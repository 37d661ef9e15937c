//! An SMTP server that takes everything and writes down when: one line a mail,
//! `recipient microseconds`, in memory, given out over a second port.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

type Seen = Arc<Mutex<Vec<(String, u128)>>>;

pub(crate) fn micros() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()
}

/// Listens on two ports and writes them into `file`.
pub(crate) async fn run(file: &str) {
    let smtp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let told = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ports = (smtp.local_addr().unwrap().port(), told.local_addr().unwrap().port());
    std::fs::write(file, format!("{} {}", ports.0, ports.1)).unwrap();
    let seen: Seen = Arc::default();
    let tell = seen.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = told.accept().await.unwrap();
            let mut text = String::new();
            let mut word = [0; 1];
            let _asked = stream.read(&mut word).await;
            {
                let seen = tell.lock().unwrap();
                writeln!(text, "{}", seen.len()).unwrap();
                if word[0] == b'a' {
                    seen.iter().for_each(|(to, at)| writeln!(text, "{to} {at}").unwrap());
                } else if let (Some(first), Some(last)) = (seen.first(), seen.last()) {
                    writeln!(text, "{} {}", first.1, last.1).unwrap();
                }
            }
            let _gone = stream.write_all(text.as_bytes()).await;
        }
    });
    loop {
        let (stream, _) = smtp.accept().await.unwrap();
        tokio::spawn(serve(stream, seen.clone()));
    }
}

async fn serve(stream: TcpStream, seen: Seen) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut stream = BufReader::with_capacity(64 << 10, stream);
    stream.write_all(b"220 sink ESMTP\r\n").await.ok()?;
    let (mut line, mut answer, mut to) = (String::new(), String::new(), String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.get(..4)?.to_ascii_uppercase().as_str() {
            "EHLO" => {
                answer.push_str("250-sink\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 8BITMIME\r\n");
            }
            "RCPT" => {
                let address = line.split(['<', '>']).nth(1)?;
                address.clone_into(&mut to);
                answer.push_str("250 ok\r\n");
            }
            "BDAT" => {
                let length: usize = line.split_whitespace().nth(1)?.parse().ok()?;
                let mut body = vec![0; length];
                stream.read_exact(&mut body).await.ok()?;
                seen.lock().unwrap().push((std::mem::take(&mut to), micros()));
                answer.push_str("250 taken\r\n");
            }
            "DATA" => {
                answer.push_str("354 go\r\n");
                stream.write_all(answer.as_bytes()).await.ok()?;
                answer.clear();
                loop {
                    line.clear();
                    stream.read_line(&mut line).await.ok()?;
                    if line == ".\r\n" {
                        break;
                    }
                }
                seen.lock().unwrap().push((std::mem::take(&mut to), micros()));
                answer.push_str("250 taken\r\n");
            }
            "QUIT" => return None,
            _ => answer.push_str("250 ok\r\n"),
        }
        if stream.buffer().is_empty() {
            stream.write_all(answer.as_bytes()).await.ok()?;
            answer.clear();
        }
    }
}
