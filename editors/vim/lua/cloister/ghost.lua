-- Suggestions on Neovim 0.10 and 0.11: what is asked for, shown as virtual text, and taken over.

local M = {}

local space = vim.api.nvim_create_namespace('cloister')
-- The suggestion on screen: client, buffer, row (from 0), column (bytes, from 0), text, behind (bytes that it replaces), suggestion.
local ghost = nil
local asked = nil
-- Those that were told to be shown.
local shown = {}

local function request(client, method, params, handler, buffer)
  if vim.fn.has('nvim-0.11') == 1 then
    return client:request(method, params, handler, buffer)
  end
  return client.request(method, params, handler, buffer)
end

local function tell(client, command, argument)
  request(client, 'workspace/executeCommand', { command = command, arguments = { argument } }, function() end)
end

function M.hide()
  if ghost and vim.api.nvim_buf_is_valid(ghost.buffer) then
    vim.api.nvim_buf_clear_namespace(ghost.buffer, space, 0, -1)
  end
  ghost = nil
end

local function draw()
  local lines = vim.split(ghost.text, '\n', { plain = true })
  local below = {}
  for at = 2, #lines do
    below[#below + 1] = { { lines[at] == '' and ' ' or lines[at], 'CloisterGhost' } }
  end
  vim.api.nvim_buf_set_extmark(ghost.buffer, space, ghost.row, ghost.column, {
    virt_text = { { lines[1], 'CloisterGhost' } },
    virt_text_pos = 'inline',
    virt_lines = #below > 0 and below or nil,
  })
end

local function column_of(line, character, encoding)
  if encoding == 'utf-8' then
    return character
  end
  if vim.str_byteindex and vim.fn.has('nvim-0.11') == 1 then
    return vim.str_byteindex(line, encoding, character, false)
  end
  return vim.lsp.util._str_byteindex_enc(line, character, encoding)
end

local function show(client, buffer, result)
  local items = result and (result.items or result) or {}
  local item = items[1]
  if not item then
    return
  end
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  row = row - 1
  local line = vim.api.nvim_get_current_line()
  local text = type(item.insertText) == 'table' and item.insertText.value or item.insertText
  local behind = 0
  if item.range then
    if item.range.start.line ~= row then
      return
    end
    local standing = line:sub(column_of(line, item.range.start.character, client.offset_encoding) + 1, column)
    if not vim.startswith(text, standing) then
      return
    end
    text = text:sub(#standing + 1)
    behind = math.max(0, column_of(line, item.range['end'].character, client.offset_encoding) - column)
  end
  text = text:gsub('\r', '')
  if text == '' then
    return
  end
  local suggestion = vim.tbl_get(item, 'command', 'arguments', 1, 'suggestion')
  ghost = { client = client, buffer = buffer, row = row, column = column, text = text, behind = behind, suggestion = suggestion }
  draw()
  if suggestion and not shown[suggestion] then
    shown[suggestion] = true
    tell(client, 'cloister.shown', { suggestion = suggestion })
  end
end

local function ask(client, buffer, kind)
  M.hide()
  if asked then
    if vim.fn.has('nvim-0.11') == 1 then
      client:cancel_request(asked)
    else
      client.cancel_request(asked)
    end
    asked = nil
  end
  local at = vim.api.nvim_win_get_cursor(0)
  local tick = vim.b[buffer].changedtick
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
  params.context = { triggerKind = kind }
  local _, id = request(client, 'textDocument/inlineCompletion', params, function(error, result)
    asked = nil
    local is_same = vim.api.nvim_get_current_buf() == buffer
      and vim.deep_equal(vim.api.nvim_win_get_cursor(0), at)
      and vim.b[buffer].changedtick == tick
    if not error and is_same and vim.fn.mode():match('^[iR]') and vim.fn.pumvisible() == 0 then
      show(client, buffer, result)
    end
  end, buffer)
  asked = id
end

function M.attach(client, buffer)
  local group = vim.api.nvim_create_augroup('cloister.ghost.' .. buffer, {})
  local function on(events, run)
    vim.api.nvim_create_autocmd(events, { group = group, buffer = buffer, callback = run })
  end
  on({ 'TextChangedI', 'CursorMovedI', 'InsertEnter' }, function()
    -- What was taken over in a part is on screen already.
    if ghost and ghost.buffer == buffer then
      local row, column = unpack(vim.api.nvim_win_get_cursor(0))
      if ghost.row == row - 1 and ghost.column == column and ghost.tick == vim.b[buffer].changedtick then
        return
      end
    end
    M.hide()
    if vim.g.cloister_automatic ~= 0 and vim.fn.pumvisible() == 0 then
      ask(client, buffer, 2)
    end
  end)
  on({ 'InsertLeave', 'BufLeave' }, M.hide)
end

--- A person asks for one.
function M.suggest()
  local client = require('cloister').client()
  if not client then
    return false
  end
  vim.schedule(function()
    ask(client, vim.api.nvim_get_current_buf(), 1)
  end)
  return true
end

function M.dismiss()
  if not ghost then
    return false
  end
  local now = ghost
  vim.schedule(function()
    M.hide()
    if now.suggestion then
      tell(now.client, 'cloister.rejected', { suggestion = now.suggestion })
    end
  end)
  return true
end

--- Which piece of a text is taken over.
function M.piece(text, how)
  if how == 'all' then
    return text
  end
  if how == 'line' then
    return text:match('^\n*[^\n]*')
  end
  return text:match('^%s*[%w_\128-\255]+') or text:match('^%s*[^%w_%s]+') or text
end

--- Takes the suggestion over: `all`, the next `word` or the next `line` of it. Whether there was one.
function M.accept(how)
  if not ghost or ghost.buffer ~= vim.api.nvim_get_current_buf() then
    return false
  end
  local now = ghost
  -- A map may not change the text before it has returned.
  vim.schedule(function()
    local taken = M.piece(now.text, how)
    local is_all = #taken == #now.text
    M.hide()
    local lines = vim.split(taken, '\n', { plain = true })
    local last = now.column + (is_all and now.behind or 0)
    vim.api.nvim_buf_set_text(now.buffer, now.row, now.column, now.row, last, lines)
    local row = now.row + #lines - 1
    local column = #lines == 1 and now.column + #taken or #lines[#lines]
    vim.api.nvim_win_set_cursor(0, { row + 1, column })
    if now.suggestion then
      tell(now.client, 'cloister.accepted', { suggestion = now.suggestion, bytes = not is_all and #taken or nil })
    end
    if not is_all then
      ghost = vim.tbl_extend('force', now, { row = row, column = column, text = now.text:sub(#taken + 1) })
      ghost.tick = vim.b[now.buffer].changedtick
      draw()
    end
  end)
  return true
end

--- For tests: what is on screen.
function M.text()
  return ghost and ghost.text
end

return M
