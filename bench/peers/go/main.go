// kcp-go as a contestant of the benchmark: bench/end.ts in Go, for kcp-go as Debian ships it (5.6.1).
//
//	CGO_ENABLED=0 GO111MODULE=off GOPATH=/usr/share/gocode go build
//
//	kcp-go ROLE SETUP
//
// ROLE is server, client or engine, SETUP a JSON object. One JSON line when it is ready, one answer to each command on
// stdin; it ends with stdin.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	kcp "github.com/xtaci/kcp-go"
)

const (
	mtu          = 1400
	interval     = 10
	socketBuffer = 4 << 20
)

type setup struct {
	Job     string
	Stream  bool
	Window  int
	Chunk   int
	Options struct{ AckNoDelay bool }
}

type command struct {
	Do     string
	Port   int
	Size   int
	WarmMs float64
	Ms     float64
	Window int
	Loss   float64
}

type answer map[string]interface{}

var (
	startedAt = time.Now()
	received  int64
)

func main() {
	var s setup
	check(json.Unmarshal([]byte(os.Args[2]), &s))
	commands := map[string]func(command) answer{"mark": mark}
	switch os.Args[1] {
	case "server":
		say(answer{"port": serve(s)})
	case "client":
		var session *kcp.UDPSession
		commands["connect"] = func(c command) answer { session = dial(s, c.Port); return answer{} }
		commands["flood"] = func(command) answer { go flood(session, s.Chunk); return answer{} }
		commands["ping"] = func(c command) answer { return ping(session, c) }
		say(answer{})
	case "engine":
		var pair *enginePair
		commands["run"] = func(c command) answer {
			if pair == nil || pair.window != c.Window || pair.loss != c.Loss {
				pair = newEnginePair(c.Window, c.Loss)
			}
			ns, sent := pair.run(milliseconds(c.Ms))
			return answer{"ns": ns, "sent": sent}
		}
		say(answer{})
	default:
		check(fmt.Errorf("no role %q", os.Args[1]))
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var c command
		check(json.Unmarshal(lines.Bytes(), &c))
		say(commands[c.Do](c))
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func say(line answer) {
	text, err := json.Marshal(line)
	check(err)
	fmt.Println(string(text))
}

func milliseconds(ms float64) time.Duration {
	return time.Duration(ms * float64(time.Millisecond))
}

func mark(command) answer {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return answer{
		"at":    float64(time.Since(startedAt).Nanoseconds()) / 1e6,
		"cpu":   float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9,
		"rss":   resident(),
		"bytes": atomic.LoadInt64(&received),
	}
}

// resident is in bytes; statm counts pages.
func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	check(err)
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	check(err)
	return pages * int64(os.Getpagesize())
}

func configure(session *kcp.UDPSession, s setup) {
	session.SetNoDelay(1, interval, 2, 1)
	session.SetWindowSize(s.Window, s.Window)
	session.SetMtu(mtu)
	session.SetStreamMode(s.Stream)
	session.SetWriteDelay(false)
	session.SetACKNoDelay(s.Options.AckNoDelay)
}

func serve(s setup) int {
	listener, err := kcp.ListenWithOptions("127.0.0.1:0", nil, 0, 0)
	check(err)
	check(listener.SetReadBuffer(socketBuffer))
	check(listener.SetWriteBuffer(socketBuffer))
	go func() {
		for {
			session, err := listener.AcceptKCP()
			check(err)
			configure(session, s)
			if s.Job == "sink" {
				go sink(session)
			} else {
				go echo(session)
			}
		}
	}()
	return listener.Addr().(*net.UDPAddr).Port
}

func sink(session *kcp.UDPSession) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := session.Read(buffer)
		if err != nil {
			return
		}
		atomic.AddInt64(&received, int64(n))
	}
}

func echo(session *kcp.UDPSession) {
	buffer := make([]byte, mtu)
	for {
		n, err := session.Read(buffer)
		if err != nil {
			return
		}
		session.Write(buffer[:n])
	}
}

func dial(s setup, port int) *kcp.UDPSession {
	session, err := kcp.DialWithOptions(fmt.Sprintf("127.0.0.1:%d", port), nil, 0, 0)
	check(err)
	check(session.SetReadBuffer(socketBuffer))
	check(session.SetWriteBuffer(socketBuffer))
	configure(session, s)
	return session
}

func flood(session *kcp.UDPSession, size int) {
	chunk := make([]byte, size)
	for {
		if _, err := session.Write(chunk); err != nil {
			return
		}
	}
}

func ping(session *kcp.UDPSession, c command) answer {
	message := make([]byte, c.Size)
	var times []float64
	startedAt := time.Now()
	for {
		sentAt := time.Now()
		_, err := session.Write(message)
		check(err)
		_, err = io.ReadFull(session, message)
		check(err)
		elapsed := time.Since(startedAt)
		if elapsed > milliseconds(c.WarmMs) {
			times = append(times, float64(time.Since(sentAt).Nanoseconds())/1e3)
		}
		if elapsed > milliseconds(c.WarmMs+c.Ms) {
			break
		}
	}
	sort.Float64s(times)
	at := func(share float64) float64 {
		return times[int(math.Min(float64(len(times)-1), float64(len(times))*share))]
	}
	return answer{"count": len(times), "p50": at(0.5), "p99": at(0.99), "max": times[len(times)-1]}
}
