// The other end of the smux tests: Go's smux over TCP.
//
//	smux-peer -listen           accepts one TCP connection, is the smux server, serves streams
//	smux-peer -dial host:port   dials, is the smux client, opens -open streams at once, and serves streams as well
//
// A stream that the other end opened begins with a line of a command and a number:
//
//	hash 0      reads to the end, answers with the SHA-256 in hex, closes
//	echo 0      sends back what comes, closes at the end
//	make N      writes N bytes of the pattern, closes
//	hold 0      as hash, but reads only once some stream has said "release"
//	release 0   lets the held streams read, answers "ok", closes
//
// The streams that it opens send -bytes bytes of the pattern, want them back, and close. Everything it has to say are JSON
// lines on stdout. It ends when its stdin does.
package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/xtaci/smux"
)

var (
	listen    = flag.Bool("listen", false, "accept a connection instead of dialling")
	dial      = flag.String("dial", "", "address to dial")
	version   = flag.Int("version", 1, "smux version")
	open      = flag.Int("open", 0, "streams to open at once")
	size      = flag.Int("bytes", 0, "bytes of each")
	interval  = flag.Int("interval", 10000, "keep-alive interval, ms; 0 = no keep-alive")
	timeout   = flag.Int("timeout", 30000, "keep-alive timeout, ms")
	buffer    = flag.Int("buffer", 4194304, "MaxReceiveBuffer")
	streambuf = flag.Int("streambuf", 65536, "MaxStreamBuffer")
)

var (
	said     sync.Mutex
	released = make(chan struct{})
	once     sync.Once
)

func say(event string, more map[string]interface{}) {
	said.Lock()
	defer said.Unlock()
	line := map[string]interface{}{"event": event}
	for name, value := range more {
		line[name] = value
	}
	json.NewEncoder(os.Stdout).Encode(line)
}

func die(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// pattern is the content of a stream; smux.test.ts has the same formula.
func pattern(length int) []byte {
	data := make([]byte, length)
	for i := range data {
		data[i] = byte(i*7 + (i>>8)*13)
	}
	return data
}

func serve(stream *smux.Stream) {
	defer stream.Close()
	reader := bufio.NewReader(stream)
	line, err := reader.ReadString('\n')
	if err != nil {
		return
	}
	var command string
	var number int
	fmt.Sscanf(line, "%s %d", &command, &number)
	switch command {
	case "hold":
		<-released
		fallthrough
	case "hash":
		hash := sha256.New()
		// At a FIN this smux's WriteTo, which Copy takes, gives io.EOF for an error.
		if _, err := io.Copy(hash, reader); err == nil || err == io.EOF {
			stream.Write([]byte(hex.EncodeToString(hash.Sum(nil))))
		}
	case "echo":
		io.Copy(stream, reader)
	case "make":
		stream.Write(pattern(number))
	case "release":
		once.Do(func() { close(released) })
		stream.Write([]byte("ok"))
	}
}

func call(session *smux.Session, data []byte) error {
	stream, err := session.OpenStream()
	if err != nil {
		return err
	}
	defer stream.Close()
	go stream.Write(data)
	back := make([]byte, len(data))
	if _, err := io.ReadFull(stream, back); err != nil {
		return err
	}
	if !bytes.Equal(back, data) {
		return fmt.Errorf("stream %d came back changed", stream.ID())
	}
	return nil
}

func main() {
	flag.Parse()
	config := smux.DefaultConfig()
	config.Version = *version
	config.KeepAliveDisabled = *interval == 0
	config.KeepAliveInterval = time.Duration(*interval) * time.Millisecond
	config.KeepAliveTimeout = time.Duration(*timeout) * time.Millisecond
	config.MaxReceiveBuffer = *buffer
	config.MaxStreamBuffer = *streambuf

	var session *smux.Session
	if *listen {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			die(err)
		}
		say("listening", map[string]interface{}{"port": listener.Addr().(*net.TCPAddr).Port})
		conn, err := listener.Accept()
		if err != nil {
			die(err)
		}
		if session, err = smux.Server(conn, config); err != nil {
			die(err)
		}
	} else {
		conn, err := net.Dial("tcp", *dial)
		if err != nil {
			die(err)
		}
		if session, err = smux.Client(conn, config); err != nil {
			die(err)
		}
	}
	go func() {
		for {
			stream, err := session.AcceptStream()
			if err != nil {
				session.Close()
				say("over", map[string]interface{}{"error": err.Error()})
				return
			}
			go serve(stream)
		}
	}()
	if *open > 0 {
		go func() {
			data := pattern(*size)
			var all sync.WaitGroup
			var failed sync.Map
			for i := 0; i < *open; i++ {
				all.Add(1)
				go func(i int) {
					defer all.Done()
					if err := call(session, data); err != nil {
						failed.Store(i, err.Error())
					}
				}(i)
			}
			all.Wait()
			errors := []string{}
			failed.Range(func(_, text interface{}) bool {
				errors = append(errors, text.(string))
				return true
			})
			say("done", map[string]interface{}{"errors": errors})
		}()
	}
	io.Copy(io.Discard, os.Stdin)
	session.Close()
}
