-- wrk: posts the files named in IMAGES in turn, each as the whole body or as a form's part, and tells what it measured.
local bodies, number = {}, 0
local kind = os.getenv("BODY")
local boundary = "lineside-benchmark"

for name in string.gmatch(os.getenv("IMAGES"), "[^:]+") do
  local file = io.open(name, "rb")
  local image = file:read("*a")
  file:close()
  if kind == "form" then
    image = "--" .. boundary .. "\r\nContent-Disposition: form-data; name=\"request\"; filename=\"part.jpg\"\r\n"
      .. "Content-Type: image/jpeg\r\n\r\n" .. image .. "\r\n--" .. boundary .. "--\r\n"
  end
  bodies[#bodies + 1] = image
end

wrk.method = "POST"
wrk.headers["Content-Type"] = kind == "form" and "multipart/form-data; boundary=" .. boundary or "image/jpeg"

request = function()
  number = number % #bodies + 1
  return wrk.format(nil, nil, nil, bodies[number])
end

done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    "\nFOUND %d %d %d %d %d\n", summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout
  ))
end
