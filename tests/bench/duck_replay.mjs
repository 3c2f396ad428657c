// DuckDB over newline-delimited JSON: the queries of compare_replay.py. Run where @duckdb/node-api is installed:
//   node duck_replay.mjs FILE.ndjson EVENTS THREADS page|minute     prints events/s and ns of processor time an event
import { createRequire } from 'node:module';
const require = createRequire(process.cwd() + '/');
const { DuckDBInstance } = require('@duckdb/node-api');
const [file, events, threads, query] = process.argv.slice(2);
const source = `read_json('${file}', format='newline_delimited', columns={ts:'BIGINT',page:'VARCHAR',bytes:'BIGINT'})`;
const queries = {
  page: `SELECT page, count(*), sum(bytes) FROM ${source} GROUP BY page`,
  minute: `SELECT date_trunc('minute', make_timestamp(ts*1000)) m, page, count(*), sum(bytes) FROM ${source} GROUP BY m, page`,
};
const instance = await DuckDBInstance.create(':memory:', { autoinstall_known_extensions: 'false', autoload_known_extensions: 'false' });
const connection = await instance.connect();
await connection.run(`SET threads=${threads}`);
const cpu = process.cpuUsage();
const start = process.hrtime.bigint();
const result = await connection.runAndReadAll(queries[query]);
const seconds = Number(process.hrtime.bigint() - start) / 1e9;
const used = process.cpuUsage(cpu);
if (result.currentRowCount === 0) process.exit(1);
console.log(Math.round(Number(events) / seconds), Math.round(((used.user + used.system) * 1000) / Number(events)));
