// Faye's server, as its documentation sets it up: node faye-server.mjs '{"port":8000}'
import http from 'node:http';
import faye from 'faye';

const { port } = JSON.parse(process.argv[2]);
const server = http.createServer();
new faye.NodeAdapter({ mount: '/bayeux', timeout: 45 }).attach(server);
server.listen(port, '127.0.0.1');
