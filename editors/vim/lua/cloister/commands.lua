-- The commands: the chat, a buffer of Markdown; a record; the status.

local M = {}

local TURNS_MAX = 40
local messages = {}
local chat = nil
local answering = nil

local function client()
  local found = require('cloister').client()
  if not found then
    vim.notify('Cloister: the language server is not running', vim.log.levels.WARN)
  end
  return found
end

local function request(of, method, params, handler)
  if vim.fn.has('nvim-0.11') == 1 then
    return of:request(method, params, handler)
  end
  return of.request(method, params, handler)
end

local function open(is_new)
  if not chat or not vim.api.nvim_buf_is_valid(chat) then
    chat = vim.api.nvim_create_buf(false, true)
    vim.api.nvim_buf_set_name(chat, 'Cloister chat')
  end
  if is_new then
    vim.api.nvim_buf_set_lines(chat, 0, -1, false, {})
  end
  if vim.fn.bufwinid(chat) < 0 then
    vim.cmd('botright vertical sbuffer ' .. chat)
    vim.bo.filetype = 'markdown'
    vim.wo.wrap, vim.wo.linebreak, vim.wo.number = true, true, false
    vim.cmd('wincmd p')
  end
end

local function follow()
  local window = vim.fn.bufwinid(chat)
  if window > 0 then
    vim.api.nvim_win_set_cursor(window, { vim.api.nvim_buf_line_count(chat), 0 })
  end
end

local function replace(lines)
  vim.api.nvim_buf_set_lines(chat, answering.first, -1, false, lines)
  follow()
end

local function absent(value)
  return value == nil or value == vim.NIL
end

--- What was found out about an answer, a fact a line.
local function findings(result)
  local found = absent(result.findings) and {} or result.findings
  local record = absent(result.record) and '?' or string.format('%d', result.record)
  local lines = { ('> record %s, %s. :CloisterExplain %s'):format(record, result.deployment or '', record) }
  local function add(...)
    lines[#lines + 1] = (string.format(...):gsub('\n', ' '))
  end
  for _, one in ipairs(found.sources or {}) do
    add('> source: %s', one.heading or one.path or '?')
  end
  local provenance = absent(found.provenance) and {} or found.provenance
  local corpora = provenance.corpora or {}
  local told = vim.tbl_filter(function(one)
    return not one.is_common
  end, provenance.matches or {})
  for _, one in ipairs(told) do
    local licences = table.concat(one.licences or {}, ', ')
    add('> known code: lines %d to %d, %s, %d lexemes, %s', one.lines[1], one.lines[2], one.kind, one.lexemes, licences)
  end
  if #corpora > 0 and #told == 0 then
    local names = vim.tbl_map(function(one)
      return one.name or '?'
    end, corpora)
    add('> known code: no match in %s', table.concat(names, ', '))
  end
  for _, one in ipairs(found.checks or {}) do
    add('> check: %s %s %s', one.checker or '?', one.version or '', one.outcome or '?')
    for _, remark in ipairs(one.remarks or {}) do
      local line = absent(remark.line) and '' or remark.line
      add('>   %s: %s: %s', line, remark.severity or '', remark.message or '')
    end
  end
  return lines
end

function M.heard(params)
  if answering and params.id == answering.id then
    answering.text = answering.text .. params.text
    replace(vim.split(answering.text, '\n', { plain = true }))
  end
end

local function ask(question, lines, is_new)
  local of = client()
  if not of then
    return
  end
  messages = is_new and {} or messages
  messages[#messages + 1] = { role = 'user', content = question }
  while #messages > TURNS_MAX do
    table.remove(messages, 1)
  end
  local id = 'neovim-' .. vim.loop.hrtime()
  local params = { id = id, messages = messages, uri = vim.uri_from_bufnr(0) }
  if not lines then
    params.files = { params.uri }
  else
    params.selection = {
      start = { line = lines[1] - 1, character = 0 },
      ['end'] = { line = lines[2], character = 0 },
    }
  end
  local deployment = vim.g.cloister_deployment
  params.deployment = deployment ~= '' and deployment or nil
  open(is_new)
  local asked = vim.split('# ' .. question, '\n', { plain = true })
  asked[#asked + 1] = ''
  local is_empty = vim.api.nvim_buf_line_count(chat) == 1 and vim.api.nvim_buf_get_lines(chat, 0, 1, false)[1] == ''
  if not is_empty then
    table.insert(asked, 1, '')
  end
  vim.api.nvim_buf_set_lines(chat, is_empty and 0 or -1, -1, false, asked)
  answering = { id = id, first = vim.api.nvim_buf_line_count(chat), text = '' }
  request(of, 'cloister/chat', params, function(error, result)
    if error then
      table.remove(messages)
      replace({ '(' .. (error.message or 'it failed') .. ')' })
    else
      messages[#messages + 1] = { role = 'assistant', content = result.text }
      local answer = vim.split(result.text, '\n', { plain = true })
      answer[#answer + 1] = ''
      replace(vim.list_extend(answer, findings(result)))
    end
    answering = nil
  end)
end

function M.chat(given)
  local lines = given.range > 0 and { given.line1, given.line2 } or nil
  if given.args ~= '' then
    return ask(given.args, lines, given.bang)
  end
  vim.ui.input({ prompt = 'Ask: ' }, function(question)
    if question and question ~= '' then
      ask(question, lines, given.bang)
    end
  end)
end

--- What the ledger has of an answer. The program itself prints it.
function M.explain(given)
  if not given.args:match('^%d+$') then
    vim.notify('Cloister: a record is a number', vim.log.levels.ERROR)
    return
  end
  local path = vim.g.cloister_path or 'cloister'
  local server = vim.g.cloister_server
  local command = { path }
  if server and server ~= '' then
    vim.list_extend(command, { '--server', server })
  end
  local lines = vim.fn.systemlist(vim.list_extend(command, { 'explain', given.args }))
  local buffer = vim.api.nvim_create_buf(false, true)
  vim.api.nvim_buf_set_lines(buffer, 0, -1, false, lines)
  vim.bo[buffer].modifiable = false
  vim.bo[buffer].bufhidden = 'wipe'
  vim.cmd('botright split')
  vim.api.nvim_win_set_buf(0, buffer)
end

function M.status()
  local of = client()
  if not of then
    return
  end
  request(of, 'cloister/status', vim.empty_dict(), function(error, status)
    if error then
      return vim.notify('Cloister: ' .. error.message, vim.log.levels.WARN)
    end
    if not status.reachable then
      local why = absent(status.error) and '' or ': ' .. status.error
      return vim.notify(('Cloister: %s does not answer%s'):format(status.server, why), vim.log.levels.WARN)
    end
    local lines = { 'Cloister: ' .. status.server }
    for _, one in ipairs(status.deployments or {}) do
      lines[#lines + 1] = ('  %s: %s, %s'):format(one.alias, one.name or '', one.up and 'up' or 'down')
    end
    if not absent(status.posture) then
      local held = status.posture.outcome == 'passed' and 'held' or 'NOT HELD'
      lines[#lines + 1] = ('  air gap: %s (record %s)'):format(held, tostring(status.posture.record))
    end
    vim.notify(table.concat(lines, '\n'))
  end)
end

--- For Neovim's own inline completion: takes a piece over in place of the whole.
function M.accepts(how)
  return function(item)
    local text = type(item.insert_text) == 'table' and item.insert_text.value or item.insert_text
    local range = item.range
    local row, column = unpack(vim.api.nvim_win_get_cursor(0))
    local standing = range and vim.api.nvim_get_current_line():sub((range.start_col or range.start.col) + 1, column) or ''
    if not vim.startswith(text, standing) then
      return item
    end
    local rest = text:sub(#standing + 1)
    local taken = require('cloister.ghost').piece(rest, how)
    if #taken == #rest then
      return item
    end
    local lines = vim.split(taken, '\n', { plain = true })
    vim.api.nvim_buf_set_text(0, row - 1, column, row - 1, column, lines)
    vim.api.nvim_win_set_cursor(0, { row + #lines - 1, #lines == 1 and column + #taken or #lines[#lines] })
    local suggestion = vim.tbl_get(item, 'command', 'arguments', 1, 'suggestion')
    local of = client()
    if suggestion and of then
      local argument = { suggestion = suggestion, bytes = #taken }
      request(of, 'workspace/executeCommand', { command = 'cloister.accepted', arguments = { argument } }, function() end)
    end
    return nil
  end
end

return M
