-- wrk script: requests whose id, length and trace differ from one to the next. They are made beforehand, so that
-- the generator costs little; enough of them that no memo of the last request helps anyone.
-- Arguments: the message with @ID and @TEXT in it, bytes of the text, then header name and value pairs.
local variants = 1021
local requests, current = {}, 0

function init(args)
  local template, size, lines = args[1], tonumber(args[2]), {}
  for i = 3, #args - 1, 2 do lines[#lines + 1] = args[i] .. ": " .. args[i + 1] .. "\r\n" end
  local extra = table.concat(lines)
  for i = 1, variants do
    local text = string.rep("a", size - 32 + i * 7 % 64)
    local body = template:gsub("@ID", i * 97):gsub("@TEXT", text)
    requests[i] = "POST " .. wrk.path .. " HTTP/1.1\r\nHost: " .. wrk.host .. ":" .. wrk.port ..
      "\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n" .. extra ..
      string.format("Traceparent: 00-%032x-%016x-01\r\n", i * 7919, i) ..
      "Content-Length: " .. #body .. "\r\n\r\n" .. body
  end
end

function request()
  current = current % variants + 1
  return requests[current]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"calls":%d,"durationUs":%d,"bytes":%d,"p50Us":%d,"p99Us":%d,"failed":%d}\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
