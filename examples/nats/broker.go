package main

import (
	"errors"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// startBroker starts a NATS server on a free port of this machine, with what was
// published before in dir. Whoever calls it shuts it down.
func startBroker(dir string) (*server.Server, error) {
	broker, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true,
	})
	if err != nil {
		return nil, err
	}
	broker.Start()
	if !broker.ReadyForConnections(10 * time.Second) {
		stopBroker(broker)
		return nil, errors.New("the broker does not start")
	}
	return broker, nil
}

func stopBroker(broker *server.Server) {
	broker.Shutdown()
	broker.WaitForShutdown()
}
