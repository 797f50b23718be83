// An OpenID provider to try the gateway with: oidc-provider, which is certified,
// with the clients and resources of settings.mjs. It accepts any user name.
//
//   node provider.mjs [--listen 127.0.0.1:9000] [--tls PEM --ca PEM] [--client PEM]
//
// A line on standard input names its signing keys, the one to sign with first; a
// name stands for the same keys as long as the process runs. It ends with its
// standard input, so that it outlives nobody who started it.
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import Provider from 'oidc-provider';
import { settings } from './settings.mjs';

const { values: flags } = parseArgs({
  options: {
    listen: { type: 'string', default: '127.0.0.1:9000' },
    tls: { type: 'string' }, // certificate and key of the provider
    ca: { type: 'string' }, // who vouches for clients with certificates
    client: { type: 'string' }, // the certificate of the client that nobody vouches for
  },
});

const pem = (file) => file && readFileSync(file);
const secure = flags.tls !== undefined;
const server = secure
  // Who needs a certificate that somebody vouches for, and who does not, is the
  // provider's to say.
  ? https.createServer({
    cert: pem(flags.tls), key: pem(flags.tls), ca: pem(flags.ca), requestCert: true, rejectUnauthorized: false,
  })
  : http.createServer();

const made = new Map();
function keysNamed(name) {
  if (!made.has(name)) {
    const pairs = [['rsa', { modulusLength: 2048 }], ['ec', { namedCurve: 'P-256' }], ['ed25519']];
    made.set(name, pairs.map(([kind, options]) => ({
      ...generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' }),
      kid: `${name}-${kind}`,
      use: 'sig',
    })));
  }
  return made.get(name);
}

let answer;
server.on('request', (req, res) => answer(req, res));

// sign makes the provider anew with other keys; what it has issued is kept
// outside of it.
function sign(issuer, names) {
  const provider = new Provider(issuer, settings({ keys: names.flatMap(keysNamed), client: pem(flags.client), secure }));
  for (const event of ['server_error', 'grant.error', 'introspection.error', 'revocation.error']) {
    provider.on(event, (_, err) => console.error(event, err.error_detail ?? err));
  }
  answer = provider.callback();
}

const [, host, port] = /^(.*):(\d+)$/.exec(flags.listen);
server.listen(Number(port), host, () => {
  const issuer = `${secure ? 'https' : 'http'}://${host}:${server.address().port}`;
  sign(issuer, ['first']);
  console.log(`listening on ${issuer}`);
  createInterface({ input: process.stdin })
    .on('line', (line) => {
      sign(issuer, line.trim().split(/ +/));
      console.log(`signing with ${line}`);
    })
    .on('close', () => process.exit());
});
