package main

import (
	"io"
	"strings"
	"time"
)

// printCurl says what to try against a running system.
func (s *system) printCurl(out io.Writer, tokenLife time.Duration) {
	io.WriteString(out, strings.NewReplacer(
		"GATEWAY", s.gatewayURL(),
		"ORDERS", s.ordersURL(),
		"USERS", s.users(),
		"ISSUER", s.gateway.issuer,
		"LIFE", tokenLife.String(),
	).Replace(`The gateway is at GATEWAY, the orders service at ORDERS,
the users service (gRPC) at USERS. Interrupt to stop. To paste:

# no token: 401
curl -i GATEWAY/users

# log in, again after LIFE; testuser may read, testbuyer may order too
TOKEN=$(curl -s GATEWAY/auth/login -d '{"username":"testuser","password":"testpass"}' | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
BUYER=$(curl -s GATEWAY/auth/login -d '{"username":"testbuyer","password":"testpass"}' | sed 's/.*"access_token":"\([^"]*\)".*/\1/')

# over gRPC, with the caller known to the users service: 200
curl -i GATEWAY/users -H "Authorization: Bearer $TOKEN"

# without the permission orders:create: 403; with it: 201
curl -i GATEWAY/orders -H "Authorization: Bearer $TOKEN" -d '{"item":"tea"}'
curl -i GATEWAY/orders -H "Authorization: Bearer $BUYER" -d '{"item":"tea"}'

# a forged role changes nothing: caller_roles is still ["user"]
curl -i GATEWAY/orders -H "Authorization: Bearer $TOKEN" -H 'X-User-Roles: admin'

# around the gateway: 401, whatever you claim to be
curl -ik ORDERS/orders -H 'X-User-Id: u-1002' -H 'X-User-Issuer: ISSUER' -H 'X-User-Permissions: orders:read'
`))
}
