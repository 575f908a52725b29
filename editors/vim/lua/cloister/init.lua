-- Cloister in Neovim. From 0.12 its own inline completion draws the suggestions; on 0.10 and 0.11 extmarks do (ghost.lua); before
-- that the server offers ordinary completions, which omnifunc shows.

local M = {}

local commands = require('cloister.commands')

local function option(name, default)
  local value = vim.g['cloister_' .. name]
  if value == nil or value == '' then
    return default
  end
  return value
end

local function has_own_inline_completion()
  return vim.lsp.inline_completion ~= nil
end

local function has_ghost()
  return vim.fn.has('nvim-0.10') == 1
end

--- What `cloister lsp` is started with.
local function configuration()
  local capabilities = vim.lsp.protocol.make_client_capabilities()
  if has_ghost() then
    capabilities.textDocument.inlineCompletion = { dynamicRegistration = false }
    capabilities.general = capabilities.general or {}
  end
  return {
    name = 'cloister',
    cmd = { option('path', 'cloister'), 'lsp' },
    cmd_env = { CLOISTER_SERVER = option('server', nil) },
    capabilities = capabilities,
    init_options = {
      completion = {
        automatic = true,
        debounce_ms_max = option('debounce_ms_max', 400),
        max_tokens = option('max_tokens', 64),
      },
      deployment = option('deployment', nil),
    },
    handlers = {
      ['cloister/chatText'] = function(_, params)
        commands.heard(params)
      end,
      ['cloister/statusChanged'] = function() end,
    },
    on_attach = function(client, buffer)
      M.attached(client, buffer)
    end,
  }
end

--- The running client. It is one for all buffers.
function M.client()
  local all = vim.lsp.get_clients and vim.lsp.get_clients({ name = 'cloister' })
    or vim.tbl_filter(function(one)
      return one.name == 'cloister'
    end, vim.lsp.get_active_clients())
  return all[1]
end

local started = nil

function M.attach(buffer)
  if vim.bo[buffer].buftype ~= '' or vim.api.nvim_buf_get_name(buffer) == '' or vim.bo[buffer].filetype == '' then
    return
  end
  local only = option('filetypes', {})
  if #only > 0 and not vim.tbl_contains(only, vim.bo[buffer].filetype) then
    return
  end
  if vim.fn.executable(option('path', 'cloister')) == 0 then
    vim.notify_once('Cloister: the program is not there: set g:cloister_path', vim.log.levels.WARN)
    return
  end
  if vim.lsp.start then
    vim.lsp.start(configuration(), {
      bufnr = buffer,
      reuse_client = function(client)
        return client.name == 'cloister'
      end,
    })
    return
  end
  started = started and vim.lsp.get_client_by_id(started) and started or vim.lsp.start_client(configuration())
  if started then
    vim.lsp.buf_attach_client(buffer, started)
  end
end

function M.attached(client, buffer)
  if has_own_inline_completion() then
    if option('automatic', 1) == 1 then
      vim.lsp.inline_completion.enable(true, { bufnr = buffer, client_id = client.id })
    end
  elseif has_ghost() then
    require('cloister.ghost').attach(client, buffer)
  else
    vim.bo[buffer].omnifunc = 'v:lua.vim.lsp.omnifunc'
  end
end

--- Whether a suggestion is taken over; what a key does otherwise is said by the map.
local function accept(how)
  if has_own_inline_completion() then
    return vim.lsp.inline_completion.get({ on_accept = how ~= 'all' and commands.accepts(how) or nil })
  end
  return require('cloister.ghost').accept(how)
end

local function map_keys()
  local function map(key, name, run)
    local before = vim.fn.maparg(key, 'i', false, true)
    -- Neovim's own map jumps within a snippet; it goes on behind ours. Anybody else's keeps the key.
    local own = before.callback and (before.desc or ''):match('^vim%.snippet') and before.callback
    local function press()
      if run() then
        return ''
      end
      return own and own() or key
    end
    vim.keymap.set('i', '<Plug>(cloister-' .. name .. ')', press, { expr = true, silent = true })
    if option('maps', 1) == 1 and (own or vim.tbl_isempty(before)) then
      vim.keymap.set('i', key, press, { expr = true, silent = true, desc = 'Cloister: ' .. name })
    end
  end
  map('<Tab>', 'accept', function()
    return accept('all')
  end)
  map('<C-Right>', 'accept-word', function()
    return accept('word')
  end)
  map('<C-End>', 'accept-line', function()
    return accept('line')
  end)
  if not has_own_inline_completion() then
    map('<C-]>', 'dismiss', function()
      return require('cloister.ghost').dismiss()
    end)
    map('<M-Bslash>', 'suggest', function()
      return require('cloister.ghost').suggest()
    end)
  end
end

function M.setup()
  local create = vim.api.nvim_create_user_command
  create('CloisterChat', commands.chat, { nargs = '*', range = true, bang = true })
  create('CloisterExplain', commands.explain, { nargs = 1 })
  create('CloisterStatus', commands.status, {})
  create('CloisterAction', function(given)
    local range = { start = { given.line1, 0 }, ['end'] = { given.line2, #vim.fn.getline(given.line2) } }
    if vim.fn.has('nvim-0.8') == 1 then
      vim.lsp.buf.code_action({ range = range })
    else
      vim.lsp.buf.range_code_action(nil, range.start, range['end'])
    end
  end, { range = true })
  create('CloisterRestart', function()
    local client = M.client()
    if client then
      vim.lsp.stop_client(client.id)
    end
    local buffer = vim.api.nvim_get_current_buf()
    vim.defer_fn(function()
      M.attach(buffer)
    end, 500)
  end, {})
  vim.api.nvim_set_hl(0, 'CloisterGhost', { link = 'Comment', default = true })
  local group = vim.api.nvim_create_augroup('cloister', {})
  vim.api.nvim_create_autocmd('FileType', {
    group = group,
    callback = function(event)
      M.attach(event.buf)
    end,
  })
  if has_ghost() then
    map_keys()
  end
end

return M
