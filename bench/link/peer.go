// peer is one end of a measured conversation with kcp-go (5.6.1, as Debian ships it): messages at an interval, each
// with the time at which it was sent. It plays the parts that end.ts plays, and says and is told the same.
//
//	CGO_ENABLED=0 GO111MODULE=off GOPATH=/usr/share/gocode go build -o peer peer.go
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	kcp "github.com/xtaci/kcp-go"
	"golang.org/x/sys/unix"
)

var (
	role     = flag.String("role", "receive", "receive or send")
	addr     = flag.String("addr", "", "address to listen on or to dial")
	size     = flag.Int("size", 64, "bytes of a message")
	interval = flag.Duration("interval", 20*time.Millisecond, "time between two messages")
	warmUp   = flag.Int("warmup", 0, "messages sent first, and not counted")
	count    = flag.Int("count", 0, "messages that count")
	data     = flag.Int("data", 0, "FEC: data shards of a group")
	parity   = flag.Int("parity", 0, "FEC: parity shards of a group")
)

// Node's process.hrtime reads this clock too.
func now() uint64 {
	var at unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &at); err != nil {
		fail(err)
	}
	return uint64(at.Nano())
}

func say(event string, more map[string]interface{}) {
	line := map[string]interface{}{"event": event}
	for key, value := range more {
		line[key] = value
	}
	text, err := json.Marshal(line)
	if err != nil {
		fail(err)
	}
	fmt.Println(string(text))
}

func fail(err error) {
	fmt.Fprintf(os.Stderr, "peer: %v\n", err)
	os.Exit(1)
}

// The numbers of our preset "fast", and no waiting for the flush interval where kcp-go can do without.
func configure(session *kcp.UDPSession) {
	session.SetNoDelay(1, 10, 2, 1)
	session.SetWindowSize(128, 128)
	session.SetMtu(1400)
	session.SetACKNoDelay(true)
	session.SetWriteDelay(false)
}

func receive() {
	listener, err := kcp.ListenWithOptions(*addr, nil, *data, *parity)
	if err != nil {
		fail(err)
	}
	say("ready", nil)
	session, err := listener.AcceptKCP()
	if err != nil {
		fail(err)
	}
	configure(session)
	latencies := make([]float64, 0, *count)
	message := make([]byte, *size)
	for number := 0; number < *warmUp+*count; number++ {
		if _, err := io.ReadFull(session, message); err != nil {
			fail(err)
		}
		if int(binary.LittleEndian.Uint32(message[8:])) != number {
			fail(fmt.Errorf("message %d is missing", number))
		}
		if number >= *warmUp {
			latencies = append(latencies, float64(now()-binary.LittleEndian.Uint64(message))/1e6)
		}
	}
	say("done", map[string]interface{}{"latencies": latencies})
}

func send(start <-chan struct{}) {
	session, err := kcp.DialWithOptions(*addr, nil, *data, *parity)
	if err != nil {
		fail(err)
	}
	configure(session)
	say("ready", nil)
	<-start
	startedAt := time.Now()
	for number := 0; number < *warmUp+*count; number++ {
		time.Sleep(time.Until(startedAt.Add(time.Duration(number) * *interval)))
		if number == *warmUp {
			say("measuring", nil)
		}
		message := make([]byte, *size)
		binary.LittleEndian.PutUint32(message[8:], uint32(number))
		binary.LittleEndian.PutUint64(message, now())
		if _, err := session.Write(message); err != nil {
			fail(err)
		}
	}
}

func main() {
	flag.Parse()
	start := make(chan struct{}, 1)
	if *role == "receive" {
		go receive()
	} else {
		go send(start)
	}
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		start <- struct{}{}
	}
}
